"""The usage models: columns, constraints, indexes, and the methods that do the work.

The methods raise typed errors. For bad input they raise a RejectedInput, which names the field, the value and the
allowed values. A database that is locked, full or broken always raises a DatabaseError.
"""

from __future__ import annotations

from usage_store.models.configuration import UsageConfig
from usage_store.models.plain_rows import SnapshotRow
from usage_store.models.sessions import SessionSize
from usage_store.models.snapshots import UsageSession, UsageSnapshot

__all__ = ["MODELS", "SessionSize", "SnapshotRow", "UsageConfig", "UsageSession", "UsageSnapshot"]

MODELS = (UsageConfig, UsageSession, UsageSnapshot)
