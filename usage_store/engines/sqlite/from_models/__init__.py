"""What makes SQLite's tables those of Peewee models."""

from usage_store.engines.sqlite.from_models.renames_and_order import model_changes

__all__ = ["model_changes"]
