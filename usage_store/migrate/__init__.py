"""A migration runner for any Peewee application; the command line is `python -m usage_store.migrate`."""

from usage_store.migrate.files.migration import Migration, Step
from usage_store.migrate.runner import MigrationRunner
from usage_store.migrate.status import MigrationStatus

__all__ = ["Migration", "MigrationRunner", "MigrationStatus", "Step"]
