"""Compare tables of PostgreSQL with Peewee models."""
