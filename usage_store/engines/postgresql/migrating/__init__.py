"""Support for a run of migrations on PostgreSQL."""
