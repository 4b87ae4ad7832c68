"""Fill the tables of SQLite databases with made-up rows, for tests."""

from usage_store.engines.sqlite.filling.fill_tables import fill_tables
from usage_store.engines.sqlite.filling.read_tables import fillable_tables

__all__ = ["fill_tables", "fillable_tables"]
