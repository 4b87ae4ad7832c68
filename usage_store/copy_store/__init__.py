"""Copy a store of usage snapshots to another database, of either engine, and compare two stores."""

from usage_store.copy_store.compare_stores import SessionHash, compare_stores
from usage_store.copy_store.copy_rows import Copied, copy_store

__all__ = ["Copied", "SessionHash", "compare_stores", "copy_store"]
