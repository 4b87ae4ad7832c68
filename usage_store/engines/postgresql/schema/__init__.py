"""Read the schema of a PostgreSQL database, and change it without losing anything."""

from usage_store.engines.postgresql.schema.schema_operations import migrator_for

__all__ = ["migrator_for"]
