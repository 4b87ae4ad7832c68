"""Copies of stores: from each engine to each, with every row, its id and its time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.copy_store.conftest import ROWS, content, fill, next_id
from tests.support.databases import names, opened, rows, script
from usage_store import close_database, init_database
from usage_store.copy_store import compare_stores, copy_store
from usage_store.errors import ConfigurationError, MigrationsPending

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.copy_store.conftest import Target
    from usage_store.copy_store import Copied


def copied(source: Target, target: Target, *, resume: bool = False) -> Copied:
    return copy_store(source, target, resume=resume)


@pytest.mark.parametrize(("one", "other"), [("sqlite", "postgresql"), ("postgresql", "sqlite"), ("sqlite", "sqlite")])
def test_a_copy_has_every_row_with_its_id_and_its_time(places: Callable[[str], Target], one: str, other: str) -> None:
    source, target = places(one), places(other)
    fill(source)
    done = copied(source, target)
    assert (done.ok, done.copied, done.snapshots, done.configurations) == (True, ROWS, ROWS, 1)
    assert [(each.session_id, each.snapshots) for each in done.sessions] == [
        ("none \N{SNOWMAN}", 0),
        ("one", ROWS // 2),
        ("two", ROWS // 2),
    ]
    assert content(target) == content(source)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_no_id_is_given_twice_after_a_copy(compacted: Path, places: Callable[[str], Target], engine: str) -> None:
    target = places(engine)
    copied(compacted, target)
    assert next_id(target) == ROWS + 2


def test_compacted_snapshots_go_to_the_server_and_back_byte_for_byte(
    compacted: Path, postgresql_url: str, tmp_path: Path
) -> None:
    assert rows(compacted, "SELECT count(*) FROM usage_snapshot_blocks") != [(0,)]
    there, back = copied(compacted, postgresql_url), copied(postgresql_url, tmp_path / "back.db")
    assert there.ok
    assert back.sessions == there.sessions
    assert content(tmp_path / "back.db") == content(compacted)


def test_a_target_with_rows_is_refused(compacted: Path, postgresql_url: str) -> None:
    copied(compacted, postgresql_url)
    before = content(postgresql_url)
    with pytest.raises(ConfigurationError, match="the target has 300 snapshots; copy to an empty database"):
        copied(compacted, postgresql_url)
    assert content(postgresql_url) == before


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO usage_sessions (session_id) VALUES ('mine')",
        "UPDATE usage_config SET plan = 'pro', created_at = 1",
    ],
)
def test_a_target_with_a_session_or_a_configuration_of_its_own_is_refused(
    compacted: Path, places: Callable[[str], Target], change: str
) -> None:
    target = places("postgresql")
    init_database(target)
    close_database()
    script(target, change)
    with pytest.raises(ConfigurationError, match="the target is not empty: it"):
        copied(compacted, target)


def test_a_resumed_copy_puts_the_time_of_a_session_right(compacted: Path, postgresql_url: str) -> None:
    copied(compacted, postgresql_url)
    script(postgresql_url, "UPDATE usage_sessions SET created_at = 1 WHERE session_id = 'one'")
    assert copied(compacted, postgresql_url, resume=True).ok
    assert content(postgresql_url) == content(compacted)


def test_a_resumed_copy_brings_a_configuration_changed_since_if_that_of_the_target_is_deleted(
    compacted: Path, postgresql_url: str
) -> None:
    script(compacted, "UPDATE usage_config SET updated_at = created_at + 9")
    copied(compacted, postgresql_url)
    script(compacted, "UPDATE usage_config SET plan = 'pro', updated_at = updated_at + 9")
    with pytest.raises(ConfigurationError, match="or that of the source since a copy"):
        copied(compacted, postgresql_url, resume=True)
    script(postgresql_url, "DELETE FROM usage_config")
    assert copied(compacted, postgresql_url, resume=True).ok


def test_a_copy_of_another_source_is_not_resumed(compacted: Path, postgresql_url: str) -> None:
    copied(compacted, postgresql_url)
    script(postgresql_url, "UPDATE usage_snapshots SET snapshot_data = '{}' WHERE id = 7")
    with pytest.raises(ConfigurationError, match=r"is not a copy of this source: its snapshot 7 is not in the source"):
        copied(compacted, postgresql_url, resume=True)


def test_the_same_database_is_refused(compacted: Path) -> None:
    with pytest.raises(ConfigurationError, match="source and target are the same database"):
        copied(compacted, compacted)


def test_a_source_that_is_not_up_to_date_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MigrationsPending), opened(tmp_path / "empty.db") as one, opened(tmp_path / "new.db") as other:
        copy_store(one, other)
    assert not rows(tmp_path / "new.db", "SELECT name FROM sqlite_master")


DIFFERENCES = {
    "UPDATE usage_config SET plan = 'pro'": "the configurations differ",
    "INSERT INTO usage_sessions (session_id) VALUES ('mine')": "session mine is only in the target",
    "DELETE FROM usage_sessions WHERE session_id LIKE 'none%%'": "session none \N{SNOWMAN} is only in the source",
    "DELETE FROM usage_snapshots WHERE id = 2": "session two: 149 snapshots in the target, 150 in the source",
    **dict.fromkeys(
        (
            "UPDATE usage_sessions SET created_at = 1 WHERE session_id = 'two'",
            "UPDATE usage_snapshots SET snapshot_data = snapshot_data || ' ' WHERE id = 2",
            "UPDATE usage_snapshots SET timestamp = timestamp + 1 WHERE id = 2",
            "UPDATE usage_snapshots SET snapshot_type = 'stats' WHERE id = 2",
            "UPDATE usage_snapshots SET id = 1000 WHERE id = 2",
        ),
        "session two: its snapshots or its time of registration differ",
    ),
}


def test_verify_finds_each_difference(compacted: Path, postgresql_url: str) -> None:
    copied(compacted, postgresql_url)
    with opened(compacted) as one, opened(postgresql_url) as other:
        for change, line in DIFFERENCES.items():
            with other.atomic() as transaction:
                other.execute_sql(change)
                assert compare_stores(one, other)[1] == (line,), change
                transaction.rollback()
        other.execute_sql(next(iter(DIFFERENCES)))
        done = copy_store(one, other, verify=True)
        assert (done.differences, done.copied) == (("the configurations differ",), 0)


def test_rows_that_the_target_cannot_hold_are_listed_before_anything_is_written(
    compacted: Path, postgresql_url: str
) -> None:
    with opened(compacted) as database:
        database.pragma("foreign_keys", 0)
        for session_id in ("é" * 501, "nul\0"):
            database.execute_sql("INSERT INTO usage_sessions (session_id) VALUES (?)", (session_id,))
        for session_id, text in (
            ("one", "not JSON"),
            ("one", '"\0"'),
            ("one", "[1]\0"),
            ("one", b'"\xff"'),
            ("é" * 501, "{}"),
            ("unknown", "{}"),
            ("one", "[" * 900 + "]" * 900),  # this fits
        ):
            sql = "INSERT INTO usage_snapshots (session_id, snapshot_data) VALUES (?, CAST(? AS TEXT))"
            database.execute_sql(sql, (session_id, text))
    done = copied(compacted, postgresql_url)
    assert not done.ok
    assert [line.partition(":")[0] for line in done.refused] == [
        "session 'nul\\x00'",
        f"session '{'é' * 501}'",
        *(f"snapshot {number}" for number in range(ROWS + 2, ROWS + 8)),
    ]
    assert "1,000 bytes" in done.refused[1]
    assert "NUL" in done.refused[0]
    assert "JSON" in done.refused[2]
    assert "is not registered" in done.refused[7]
    assert names(postgresql_url) == set()


def test_a_snapshot_whose_text_is_lost_is_listed(compacted: Path, places: Callable[[str], Target]) -> None:
    script(compacted, "DELETE FROM usage_snapshot_blocks WHERE id = (SELECT min(id) FROM usage_snapshot_blocks)")
    done = copied(compacted, places("sqlite"))
    assert "needs, is gone" in done.refused[0]
    assert done.refused[0].startswith("snapshot 1: ")


def test_a_reference_on_a_server_is_listed(postgresql_url: str, tmp_path: Path) -> None:
    fill(postgresql_url)
    script(postgresql_url, "UPDATE usage_snapshots SET snapshot_data = '12:3' WHERE id = 5")
    done = copied(postgresql_url, tmp_path / "copy.db")
    assert [line.partition(":")[0] for line in done.refused] == ["snapshot 5"]
    assert "block 12, which it needs, is gone" in done.refused[0]
    assert not names(tmp_path / "copy.db")
