"""Rows of programs that know nothing of blocks stay unchanged, are compacted later, or are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.databases import dump, raw, script
from tests.support.driver import sqlite3
from tests.support.snapshots import TEXTS, blocks, compact_old, plain_rows, record, stored, write_row
from usage_store import UsageSession, UsageSnapshot, register_usage_json
from usage_store.errors import DamagedSnapshot

if TYPE_CHECKING:
    from pathlib import Path


NOT_UTF8 = b'"\xff"'


def texts() -> dict[int, str]:
    return {snapshot.id: snapshot.snapshot_data for snapshot in UsageSnapshot.of_session("s")}


ITS_OWN = [
    '{"a": 1}',
    "12",
    "1:",
    ":1",
    "1:2 ",
    " 1:2",
    "1:2:3",
    "-1:2",
    "1:2x",
    "1\n:2",
    "",
    "1:" + "0" * 18,
    "9" * 5000 + ":0",
]


@pytest.mark.parametrize("text", ITS_OWN, ids=range(len(ITS_OWN)))
def test_a_blob_of_another_program_that_is_no_reference_is_read_as_text_and_kept(path: Path, text: str) -> None:
    record("[]")
    compact_old()
    with raw(path) as connection:
        row = write_row(connection, text.encode(), kind="BLOB")
        register_usage_json(connection)
        for _ in range(2):
            assert connection.execute(
                "SELECT id, usage_json(snapshot_data) FROM usage_snapshots WHERE id = ?", (row,)
            ).fetchall() == [(row, text)]
            assert texts()[row] == text
            assert UsageSnapshot.get_by_id(row).snapshot_data == text
            assert stored(path)[row] == text.encode()
            assert len(blocks(path)) == 1
            assert compact_old() == 0
        connection.execute("DELETE FROM usage_snapshots WHERE id = ?", (row,))
    assert len(blocks(path)) == 1


@pytest.mark.parametrize("text", ["1", "1.5", '"1:0"', '{"1":0}', "[1,1]", " 1 "])
def test_no_blob_of_json_is_taken_for_a_reference(path: Path, text: str) -> None:
    record("[]")
    compact_old()
    expected = blocks(path)
    with raw(path) as connection:
        row = write_row(connection, text.encode(), kind="BLOB")
        assert blocks(path) == expected
        connection.execute("DELETE FROM usage_snapshots WHERE id = ?", (row,))
    assert blocks(path) == expected


def test_a_foreign_blob_has_the_size_of_its_own_bytes(path: Path) -> None:
    record(*TEXTS, session="other")
    compact_old()
    UsageSession.register("s")
    with raw(path) as connection:
        for block in blocks(path):
            write_row(connection, b"%d" % block, kind="BLOB")
    [size] = UsageSession.sizes("s")
    assert size.bytes == sum(len(str(block)) for block in blocks(path))


def test_plain_rows_of_other_programs_are_compacted_by_the_next_compaction(path: Path) -> None:
    record("[]")
    assert compact_old() == 1
    odd = [b'{"foreign": 1}', b"1:0", b"", b"NUL\0and more", NOT_UTF8, b"{oops"]
    with raw(path) as connection:
        rows = [write_row(connection, text, number=number) for number, text in enumerate(odd, -5)]
    assert plain_rows(path) == set(rows)
    assert compact_old() == len(odd)
    assert compact_old() == 0
    found = {row: texts[n] for texts, of in blocks(path).values() for row, _, n in of}
    assert [found[row] for row in rows] == odd
    readable = [(row, text) for row, text in zip(rows, odd, strict=True) if text != NOT_UTF8]
    if sqlite3.__name__ != "sqlite3":  # pysqlite3 ends what a function gives at a NUL, which no JSON has
        readable = [(row, text) for row, text in readable if b"\0" not in text]
    assert [UsageSnapshot.get_by_id(row).snapshot_data for row, _ in readable] == [
        text.decode() for _, text in readable
    ]
    with pytest.raises(DamagedSnapshot, match=r"^snapshot -1: its text is not UTF-8"):
        _ = UsageSnapshot.get_by_id(-1).snapshot_data


def test_a_session_id_that_is_not_text_does_not_stop_a_compaction(path: Path) -> None:
    expected = dict(zip(record(*TEXTS), TEXTS, strict=True))
    script(path, "INSERT INTO usage_snapshots (session_id, snapshot_data, timestamp) VALUES (x'62', '[]', 5)")
    assert compact_old() >= len(TEXTS)
    assert texts() == expected
    assert not plain_rows(path) & set(expected)


REFUSED = [
    "INSERT INTO usage_snapshots (session_id, snapshot_data) VALUES ('s', CAST('77:0' AS BLOB))",
    "INSERT INTO usage_snapshots (session_id, snapshot_data) SELECT 's', CAST('99999999999999999:0' AS BLOB)",
    "UPDATE usage_snapshots SET snapshot_data = CAST('77:0' AS BLOB)",
    "UPDATE usage_snapshots SET snapshot_data = CAST('77:0' AS BLOB) WHERE id = 2",
    # The first row changes to the other block, so its own block is gone before the second row is updated.
    "UPDATE usage_snapshots SET snapshot_data = CAST(CASE id WHEN 1 THEN '2:0' ELSE '1:0' END AS BLOB)",
]


@pytest.mark.parametrize("statement", REFUSED, ids=range(len(REFUSED)))
def test_a_reference_to_a_block_that_is_not_there_is_refused(path: Path, statement: str) -> None:
    for text in TEXTS[:2]:
        record(text)
        compact_old()
    assert len(blocks(path)) == 2
    before = dump(path)
    with raw(path) as connection, pytest.raises(sqlite3.IntegrityError, match="refers to a block that is not there"):
        connection.execute(statement)
    assert dump(path) == before


def test_rows_that_are_inserted_again_are_refused_if_their_blocks_are_gone(path: Path) -> None:
    record(*TEXTS)
    compact_old()
    before = dump(path)
    with raw(path) as connection:
        connection.execute("CREATE TEMP TABLE aside AS SELECT * FROM usage_snapshots")
        connection.execute("BEGIN")
        connection.execute("DELETE FROM usage_snapshots")
        with pytest.raises(sqlite3.IntegrityError, match="refers to a block that is not there"):
            connection.execute("INSERT INTO usage_snapshots SELECT * FROM aside")
        connection.execute("ROLLBACK")
    assert dump(path) == before
