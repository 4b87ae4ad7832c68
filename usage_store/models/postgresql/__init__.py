"""The usage tables in PostgreSQL: the functions of the interface in `usage_store.models.storage_interface`."""

from __future__ import annotations
