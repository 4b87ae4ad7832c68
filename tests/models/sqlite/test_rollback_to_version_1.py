"""After a rollback to version 1, compacted rows are plain text again, byte for byte, in the schema of version 1."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.databases import dump, dump_without_log, opened, raw, rows, script
from tests.support.migrations import history
from tests.support.snapshots import TEXTS, blocks, compact_old, plain_rows, record, stored, write_row
from usage_store import UsageSnapshot
from usage_store.engines.interface.schema_differences import differences
from usage_store.engines.sqlite.schema.read_whole_schema import read_catalog
from usage_store.migrate import MigrationRunner
from usage_store.models import MODELS

if TYPE_CHECKING:
    from pathlib import Path

    import peewee

pytestmark = pytest.mark.quick

ODD = [b'{"foreign": 1}', b"1:0", b"", b"NUL\0and more", b"{oops", b'"\xf0\x9f\xa6\x8a"']
NOT_UTF_8 = [b'"\xff"', b"\xf0\x9f"]
LEAST = -(2**63)


def bytes_of(path: Path) -> dict[int, tuple[str, bytes]]:
    """Return the type and the bytes of each `snapshot_data`."""
    found = rows(path, "SELECT id, typeof(snapshot_data), CAST(snapshot_data AS BLOB) FROM usage_snapshots")
    return {row: (kind, data) for row, kind, data in found}


def test_a_database_of_version_1_is_the_same_after_up_a_compaction_and_down(tmp_path: Path) -> None:
    path, before = tmp_path / "usage.db", tmp_path / "before.db"
    with opened(path) as database, database.bind_ctx(MODELS):
        MigrationRunner(database).migrate(1)
        catalog = read_catalog(database)
        ids = record(*TEXTS) + record(*TEXTS, session="t", age=0.5)
        with raw(path) as connection:
            ids += [write_row(connection, text, number=number) for number, text in enumerate(ODD, -9)]
        database.pragma("wal_checkpoint", "TRUNCATE")
        shutil.copy(path, before)
        MigrationRunner(database).migrate()
        assert bytes_of(path) == bytes_of(before)
        assert compact_old() == len(ids) - len(TEXTS)
        assert bytes_of(path) != bytes_of(before)
        MigrationRunner(database).rollback(1)
        assert differences(catalog, read_catalog(database)) == []
        assert read_catalog(database) == catalog
        assert MigrationRunner(database).validate().ok
    assert bytes_of(path) == bytes_of(before)
    assert dump_without_log(path) == dump_without_log(before)


def test_texts_of_other_programs_keep_their_bytes(usage_database: peewee.SqliteDatabase, path: Path) -> None:
    record(*TEXTS)
    compact_old()
    with raw(path) as connection:
        expected = {write_row(connection, text): ("text", text) for text in ODD + NOT_UTF_8}
        blobs = [text for text in ODD + NOT_UTF_8 if text != b"1:0"]
        expected |= {write_row(connection, text, kind="BLOB"): ("blob", text) for text in blobs}
    assert compact_old() == len(ODD + NOT_UTF_8)
    MigrationRunner(usage_database).rollback(1)
    assert {row: found for row, found in bytes_of(path).items() if row in expected} == expected


def test_a_text_that_looks_like_a_reference_is_a_text_before_blocks_exist(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    with opened(path) as database, database.bind_ctx(MODELS):
        MigrationRunner(database).migrate(1)
        record("[]")
        with raw(path) as connection:
            odd = [write_row(connection, text, kind="BLOB") for text in (b"1:0", b"2:0", b"9" * 17 + b":0")]
            kept = [write_row(connection, text, kind="BLOB") for text in (b"{}", b"1:" + b"0" * 18)]
        expected = {row: data for row, (_, data) in bytes_of(path).items()}
        MigrationRunner(database).migrate()
        assert {row: kind for row, (kind, _) in bytes_of(path).items() if kind == "blob"} == dict.fromkeys(kept, "blob")
        assert compact_old() == 1 + len(odd)
        assert sum(len(block.rows) for block in blocks(path).values()) == 1 + len(odd)
        assert {row.id: row.snapshot_data.encode() for row in UsageSnapshot.rows_of_session("s")} == expected
        MigrationRunner(database).rollback(1)
    assert {row: data for row, (_, data) in bytes_of(path).items()} == expected


def test_a_foreign_blob_in_a_database_in_utf_16_reads_the_same(tmp_path: Path) -> None:
    path = tmp_path / "wide.db"
    script(path, "PRAGMA encoding = 'UTF-16le'; CREATE TABLE host (a)")
    with opened(path) as database, database.bind_ctx(MODELS):
        MigrationRunner(database).migrate()
        record("[]")
        with raw(path) as connection:
            row = connection.execute(
                "INSERT INTO usage_snapshots (session_id, snapshot_data) VALUES ('s', ?)", (b'{"foreign":1}',)
            ).lastrowid
        assert UsageSnapshot.get_by_id(row).snapshot_data == '{"foreign":1}'
        MigrationRunner(database).rollback(1)
    assert rows(path, f"SELECT snapshot_data FROM usage_snapshots WHERE id = {row}") == [(b'{"foreign":1}',)]


@pytest.mark.parametrize("number", [LEAST, LEAST + 1, -501, -1, 0, 2**63 - 1])
def test_any_row_id_becomes_plain(usage_database: peewee.SqliteDatabase, path: Path, number: int) -> None:
    record("[]", "[1]")
    with raw(path) as connection:
        write_row(connection, b'{"odd": "id"}', number=number)
    expected = bytes_of(path)
    assert compact_old() == 3
    MigrationRunner(usage_database).rollback(1)
    assert bytes_of(path) == expected


def test_more_rows_than_are_read_at_once_become_plain(usage_database: peewee.SqliteDatabase, path: Path) -> None:
    count = 1203
    ids = record(*({"n": n // 2} for n in range(count)))
    expected = stored(path)
    assert compact_old() == count
    MigrationRunner(usage_database).rollback(1)
    assert plain_rows(path) == set(ids)
    assert stored(path) == expected


def test_rolled_back_snapshots_can_be_compacted_again(usage_database: peewee.SqliteDatabase, path: Path) -> None:
    expected = dict(zip(record(*TEXTS), TEXTS, strict=True))
    runner = MigrationRunner(usage_database)
    schema = dump(path)["schema"]
    for _ in range(2):
        assert compact_old() == len(TEXTS)
        assert {row.id: row.snapshot_data for row in UsageSnapshot.rows_of_session("s")} == expected
        assert sum(len(block.rows) for block in blocks(path).values()) == len(TEXTS)
        runner.rollback(1)
        assert history(path) == [1]
        assert stored(path) == expected
        runner.migrate()
        assert {snapshot.id: snapshot.snapshot_data for snapshot in UsageSnapshot.of_session("s")} == expected
        assert history(path) == [1, 2, 3]
        assert dump(path)["schema"] == schema
        assert blocks(path) == {}
    assert runner.validate().ok


def test_a_rollback_to_0_of_a_compacted_database_leaves_no_usage_tables(
    usage_database: peewee.SqliteDatabase, path: Path
) -> None:
    record(*TEXTS)
    compact_old()
    MigrationRunner(usage_database).rollback(0)
    left = rows(path, "SELECT name FROM sqlite_master WHERE name LIKE '%usage%'")
    assert left == []
    assert rows(path, "SELECT name FROM sqlite_sequence WHERE name LIKE '%usage%'") == []
