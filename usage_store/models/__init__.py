"""The usage models: columns, constraints, indexes, and the methods that do the work.

The methods raise typed errors: a RejectedInput that names the field, the value and what is allowed, or peewee's own
for a database that is locked, full or broken.
"""

from __future__ import annotations

from usage_store.models.configuration import UsageConfig
from usage_store.models.sessions import SessionSize, UsageSession
from usage_store.models.snapshots import SnapshotRow, UsageSnapshot

__all__ = ["MODELS", "SessionSize", "SnapshotRow", "UsageConfig", "UsageSession", "UsageSnapshot"]

MODELS = (UsageConfig, UsageSession, UsageSnapshot)
