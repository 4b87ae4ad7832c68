"""Run migrations safely on PostgreSQL: one run at a time, each migration watched, nothing lost in silence."""

from usage_store.engines.postgresql.migrating.before_each_write import before_each_write
from usage_store.engines.postgresql.migrating.faults_of_a_migration import Watch
from usage_store.engines.postgresql.migrating.guarded_transaction import roll_back_if_open, transaction
from usage_store.engines.postgresql.migrating.lock_and_settings import alone
from usage_store.engines.postgresql.migrating.repeat_a_migration import retry_after

__all__ = ["Watch", "alone", "before_each_write", "retry_after", "roll_back_if_open", "transaction"]
