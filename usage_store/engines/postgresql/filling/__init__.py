"""Fill tables of PostgreSQL with made-up rows."""

from usage_store.engines.postgresql.filling.fill_tables import fill_tables
from usage_store.engines.postgresql.filling.read_tables import fillable_tables

__all__ = ["fill_tables", "fillable_tables"]
