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
from tests.support.databases import opened, overwrite, rows
from tests.support.pages import blocks_of
from tests.support.programs import TIMEOUT
from usage_store import UsageSnapshot, errors, insert_usage_snapshot
from usage_store.migrate import MigrationRunner
from usage_store.models import MODELS
from usage_store.testing import seed_usage

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="needs sqlite3, the program")
def test_the_advice_for_a_corrupt_database_saves_the_rows_around_the_damage(tmp_path: Path) -> None:
    path, all_rows = tmp_path / "usage.db", "SELECT id, session_id, snapshot_data, timestamp FROM usage_snapshots"
    with opened(path) as database, database.bind_ctx(MODELS):
        MigrationRunner(database).migrate()
        seed_usage(database, snapshots=2000, now=1_752_900_000)
        page, pages = int(database.page_size), int(database.pragma("page_count"))
    stored = set(rows(path, all_rows))
    overwrite(path, page * (pages // 2), b"\xa5" * page * 3)
    assert command("validate", cwd=tmp_path).returncode == 8
    [advice] = [block.text for block in blocks_of("docs/troubleshooting.md") if block.language == "sh"]
    words = ["sh", "-c", advice]
    # sqlite3 reports each row of a damaged page that a CHECK refuses, goes on, and ends with 1.
    subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    saved = rows(tmp_path / "saved.db", all_rows)
    assert 1800 < len(saved) < 2000
    assert set(saved) < stored
    done = command("--database", "saved.db", "validate", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


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
