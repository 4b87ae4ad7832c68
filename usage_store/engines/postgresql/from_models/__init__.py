"""Find the changes that turn PostgreSQL's tables into the tables of Peewee models."""

from usage_store.engines.postgresql.from_models.compare_tables import model_changes
from usage_store.engines.postgresql.from_models.tables_as_they_are import tables_as_they_are

__all__ = ["model_changes", "tables_as_they_are"]
