"""What type checkers say of the models: each assertion holds for mypy and for pyright. Nothing here is run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, assert_type

import peewee
from peewee import fn

from usage_store import UsageConfig, UsageSession, UsageSnapshot, get_usage_config, get_usage_snapshots


def of_a_snapshot(snapshot: UsageSnapshot) -> None:
    """Read and assign the columns of a snapshot."""
    assert_type(snapshot.id, int)
    assert_type(snapshot.session, UsageSession)
    assert_type(snapshot.session_id, str)
    assert_type(snapshot.snapshot_data, str)
    assert_type(snapshot.snapshot_type, str)
    assert_type(snapshot.timestamp, int)
    assert_type(snapshot.recorded_at, datetime)
    assert_type(snapshot.as_dict(), dict[str, Any])
    snapshot.session = "ab74d3b7"
    snapshot.session_id = "ab74d3b7"
    snapshot.snapshot_data = {"tokens": 7458}
    snapshot.timestamp = datetime.fromisoformat("2025-07-18T16:37:34Z")


def of_a_configuration(config: UsageConfig) -> None:
    """Read the columns of a configuration."""
    assert_type(config.id, int)
    assert_type(config.plan, str)
    assert_type(config.custom_limit_tokens, int | None)
    assert_type(config.view, str)
    assert_type(config.timezone, str)
    assert_type(config.time_format, str)
    assert_type(config.theme, str)
    assert_type(config.refresh_rate, int)
    assert_type(config.refresh_per_second, float)
    assert_type(config.reset_hour, int | None)
    assert_type(config.created_at, int)
    assert_type(config.updated_at, int)
    assert_type(config.is_active, bool)
    assert_type(config.created_at_utc, datetime | None)
    assert_type(config.updated_at_utc, datetime | None)
    assert_type(config.as_dict(), dict[str, Any])


def of_a_session(session: UsageSession) -> None:
    """Read the columns of a session, and query its snapshots."""
    assert_type(session.session_id, str)
    assert_type(session.created_at, int)
    assert_type(session.created_at_utc, datetime | None)
    assert_type(session.snapshots, peewee.ModelSelect[UsageSnapshot])
    assert_type(session.snapshots.count() + 1, int)
    for snapshot in session.snapshots.where(UsageSnapshot.timestamp > 5).order_by(UsageSnapshot.id.desc()):
        assert_type(snapshot, UsageSnapshot)


def of_queries() -> None:
    """Use the columns as fields, on the class."""
    newest = UsageSnapshot.timestamp.desc()
    for snapshot in UsageSnapshot.select().where(UsageSnapshot.session_id == "ab74d3b7").order_by(newest):
        assert_type(snapshot, UsageSnapshot)
    UsageSnapshot.select(fn.max(UsageSnapshot.timestamp)).where(UsageSnapshot.session_id.in_(["ab74d3b7"])).scalar()
    UsageSnapshot.select().join(UsageSession).where(UsageSession.created_at < UsageSnapshot.timestamp + 60)
    UsageSession.select().where(UsageSession.session_id.startswith("ab"))
    UsageConfig.update(plan="pro").where(UsageConfig.is_active).execute()
    assert_type(UsageSnapshot.get_by_id(1), UsageSnapshot)
    assert_type(UsageSnapshot.get_or_none(UsageSnapshot.id == 1), UsageSnapshot | None)


def of_the_functions() -> None:
    """Use what lists and iterators give."""
    assert_type(get_usage_config(), UsageConfig | None)
    assert_type(get_usage_snapshots(), list[UsageSnapshot])
    assert_type(UsageSnapshot.recent(), list[UsageSnapshot])
    assert_type(UsageSnapshot.record("ab74d3b7", {}), UsageSnapshot)
    assert_type(UsageSnapshot.between(since=datetime.fromisoformat("2025-07-18T16:37:34Z")), Iterator[UsageSnapshot])
    assert_type(UsageSnapshot.count_between(1_752_856_654, 1_752_856_700.5, "ab74d3b7", "stats"), int)
