"""Maintenance of the usage tables in PostgreSQL."""
