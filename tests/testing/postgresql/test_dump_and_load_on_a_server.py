"""Dumping the usage data of a server, and loading it there or in a file."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.databases import raw
from tests.support.postgresql_servers import new_schema
from usage_store import UsageConfig, UsageSession, UsageSnapshot, opened
from usage_store.testing import dump_usage, load_usage, seed_usage

if TYPE_CHECKING:
    from pathlib import Path

    import peewee

TABLES = ("usage_config", "usage_sessions", "usage_snapshots")


def content(database: peewee.Database) -> dict[str, list[tuple[Any, ...]]]:
    return {table: sorted(database.execute_sql(f"SELECT * FROM {table}").fetchall()) for table in TABLES}


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_a_dump_of_a_server_goes_to_a_file_and_back_with_every_id(
    postgresql_url: str, tmp_path: Path, suffix: str
) -> None:
    first, second = tmp_path / f"first.{suffix}", tmp_path / f"second.{suffix}"
    with opened(postgresql_url) as database:
        seed_usage(database, sessions=120, snapshots=130)
        UsageSession.register("🦊 o'Neil")
        UsageSnapshot.record("🦊 o'Neil", '{ "kept" : "as given \\u00e9 é %s" }', "config", 0)
        UsageConfig.insert(is_active=False, reset_hour=None, created_at=5, updated_at=6).execute()
        before = content(database)
        dump_usage(database, first)
    with opened(tmp_path / "usage.db") as database:
        load_usage(database, first)
        dump_usage(database, second)
    with new_schema() as url, opened(url) as database:
        seed_usage(database, sessions=2, seed=9)  # is replaced
        load_usage(database, second)
        assert content(database) == before
        assert UsageSnapshot.record("🦊 o'Neil", {}).id == max(row[0] for row in before["usage_snapshots"]) + 1
        assert UsageConfig.insert(is_active=False).execute() == max(row[0] for row in before["usage_config"]) + 1


def test_a_dump_has_one_state_of_the_database_while_others_write(postgresql_url: str, tmp_path: Path) -> None:
    class Writes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if 'FROM "usage_snapshots"' in record.getMessage():
                peewees.removeHandler(self)
                with raw(postgresql_url) as other:
                    other.execute("INSERT INTO usage_sessions (session_id) VALUES ('new') ON CONFLICT DO NOTHING")
                    other.execute("INSERT INTO usage_snapshots (session_id, snapshot_data) VALUES ('new', '1')")

    with opened(postgresql_url) as database:
        seed_usage(database, snapshots=3)
        peewees, writes = logging.getLogger("peewee"), Writes()
        peewees.addHandler(writes)
        peewees.setLevel(logging.DEBUG)
        try:
            dump_usage(database, tmp_path / "usage.json")
        finally:
            peewees.removeHandler(writes)
            peewees.setLevel(logging.NOTSET)
        assert UsageSession.select().where(UsageSession.session_id == "new").count() == 1
    fixture = json.loads((tmp_path / "usage.json").read_text(encoding="utf-8"))
    known = {row["session_id"] for row in fixture["usage_sessions"]}
    assert {row["session_id"] for row in fixture["usage_snapshots"]} <= known
