"""What makes SQLite's tables those of Peewee models."""
