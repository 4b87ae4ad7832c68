"""The advice of the page Troubleshooting works."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import command
from tests.support.databases import opened, overwrite, rows
from tests.support.pages import blocks_of
from tests.support.programs import ROOT, TIMEOUT
from usage_store.migrate import MigrationRunner
from usage_store.models import MODELS
from usage_store.testing import seed_usage

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="needs docs/")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="needs sqlite3, the program")
def test_the_advice_for_a_corrupt_database_saves_the_rows_around_the_damage(tmp_path: Path) -> None:
    path, all_rows = tmp_path / "usage.db", "SELECT id, session_id, snapshot_data, timestamp FROM usage_snapshots"
    with opened(path) as database, database.bind_ctx(MODELS):
        MigrationRunner(database).migrate()
        seed_usage(database, snapshots=2000)
        page, pages = int(database.page_size), int(database.pragma("page_count"))
    stored = set(rows(path, all_rows))
    overwrite(path, page * (pages // 2), b"\xa5" * page * 3)
    assert command("validate", cwd=tmp_path).returncode == 8
    [advice] = [block.text for block in blocks_of("docs/troubleshooting.md") if block.language == "sh"]
    words = ["sh", "-c", advice]
    subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=TIMEOUT)
    saved = rows(tmp_path / "saved.db", all_rows)
    assert 1800 < len(saved) < 2000
    assert set(saved) < stored
    done = command("--database", "saved.db", "validate", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
