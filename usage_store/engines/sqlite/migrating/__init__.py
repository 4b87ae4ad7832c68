"""Run migrations safely on SQLite: one run at a time, each migration watched, no rows or columns lost in silence."""

from usage_store.engines.sqlite.file.write_transaction import write_transaction as transaction
from usage_store.engines.sqlite.migrating.before_each_write import before_each_write
from usage_store.engines.sqlite.migrating.faults_of_a_migration import Watch
from usage_store.engines.sqlite.migrating.lock_and_settings import alone, retry_after, roll_back_if_open

__all__ = ["Watch", "alone", "before_each_write", "retry_after", "roll_back_if_open", "transaction"]
