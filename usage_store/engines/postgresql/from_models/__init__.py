"""Find the changes that turn PostgreSQL's tables into the tables of Peewee models."""

from usage_store.engines.postgresql.from_models.compare_tables import model_changes

__all__ = ["model_changes"]
