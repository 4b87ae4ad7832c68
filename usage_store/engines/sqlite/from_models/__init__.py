"""Find the changes that turn SQLite's tables into the tables of Peewee models."""

from usage_store.engines.sqlite.from_models.renames_and_order import model_changes
from usage_store.engines.sqlite.from_models.tables_as_they_are import tables_as_they_are

__all__ = ["model_changes", "tables_as_they_are"]
