"""The rows of the usage tables in PostgreSQL."""
