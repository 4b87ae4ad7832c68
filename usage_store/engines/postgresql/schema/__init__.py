"""Read the schema of a PostgreSQL database, and change it without losing anything."""

from usage_store.engines.postgresql.schema.read_whole_schema import read_catalog
from usage_store.engines.postgresql.schema.schema_operations import migrator_for

__all__ = ["migrator_for", "read_catalog"]
