"""What a run of migrations on SQLite needs around it."""

from usage_store.engines.sqlite.migrating.faults_of_a_migration import Watch
from usage_store.engines.sqlite.migrating.lock_and_settings import alone, roll_back_if_open

__all__ = ["Watch", "alone", "roll_back_if_open"]
