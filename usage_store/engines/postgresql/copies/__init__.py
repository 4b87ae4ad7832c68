"""Copies of a PostgreSQL database: of its schema alone, and of its rows."""
