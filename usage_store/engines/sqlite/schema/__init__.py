"""Read the schema of a SQLite database, and change it without losing anything."""

from usage_store.engines.sqlite.schema.read_whole_schema import read_catalog
from usage_store.engines.sqlite.schema.schema_operations import migrator_for

__all__ = ["migrator_for", "read_catalog"]
