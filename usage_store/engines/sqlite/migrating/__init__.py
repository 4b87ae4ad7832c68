"""What a run of migrations on SQLite needs around it."""

from usage_store.engines.sqlite.migrating.run_alone import alone, roll_back_if_open
from usage_store.engines.sqlite.migrating.watch import Watch

__all__ = ["Watch", "alone", "roll_back_if_open"]
