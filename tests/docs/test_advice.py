"""The advice of the page Troubleshooting works."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import nullcontext
from typing import TYPE_CHECKING

import peewee
import pytest

import usage_store
from tests.support.commands import command
from tests.support.databases import overwrite, rows
from tests.support.pages import blocks_of
from tests.support.programs import TIMEOUT
from usage_store import UsageSnapshot, errors, insert_usage_snapshot, insert_usage_snapshots, register_session

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="needs sqlite3, the program")
@pytest.mark.parametrize(
    ("filler", "count", "most_lost", "exit_code"),
    [
        pytest.param(0, 3_000, 200, 0, id="a damaged page has many small rows"),
        pytest.param(4_300, 300, 1, 1, id="a damaged page has the end of a large row"),
    ],
)
def test_the_advice_for_a_corrupt_database_saves_all_other_rows(
    tmp_path: Path, filler: int, count: int, most_lost: int, exit_code: int
) -> None:
    path, all_rows = tmp_path / "usage.db", "SELECT id, session_id, snapshot_data, timestamp FROM usage_snapshots"
    with usage_store.opened(path):
        register_session("s")
        texts = (f'["{"x" * filler}", "number {number}"]' for number in range(count))
        insert_usage_snapshots({"session_id": "s", "snapshot_data": text} for text in texts)
    stored, [(page,)] = set(rows(path, all_rows)), rows(path, "PRAGMA page_size")
    before, _ = path.read_bytes().split(f'"number {count // 2}"'.encode())  # it is in the file once
    overwrite(path, len(before) // page * page, b"\xa5" * page)
    assert command("validate", cwd=tmp_path).returncode == 8
    [advice] = [block.text for block in blocks_of("docs/troubleshooting.md") if block.language == "sh"]
    words = ["sh", "-c", advice]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    assert (done.returncode, done.stderr.count("CHECK constraint failed"), done.stdout) == (exit_code, exit_code, "")
    saved = set(rows(tmp_path / "saved.db", all_rows))
    assert saved < stored
    lost = sorted(number for number, *_ in stored - saved)
    assert len(lost) <= most_lost
    assert lost == list(range(lost[0], lost[-1] + 1))
    assert lost[0] <= count // 2 + 1 <= lost[-1]
    valid = command("--database", "saved.db", "validate", cwd=tmp_path)
    assert (valid.returncode, valid.stderr) == (0, "")


@pytest.mark.parametrize("foreign_keys", [0, 1])
def test_an_unknown_session_is_refused_by_the_functions_and_otherwise_by_foreign_keys(
    tmp_path: Path, foreign_keys: int
) -> None:
    own = peewee.SqliteDatabase(str(tmp_path / "app.db"), pragmas={"foreign_keys": foreign_keys})
    with usage_store.opened(own):
        assert insert_usage_snapshot({"session_id": "nobody", "snapshot_data": {}}) is None
        with pytest.raises(errors.UnknownSession):
            UsageSnapshot.record("nobody", {})
        with pytest.raises(peewee.IntegrityError) if foreign_keys else nullcontext():
            UsageSnapshot.create(session_id="nobody", snapshot_data={})
    assert command("--database", "app.db", "validate", cwd=tmp_path).returncode == (0 if foreign_keys else 4)
