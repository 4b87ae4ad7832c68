"""The command `usage-store copy`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.copy_store.conftest import content
from tests.support.databases import script
from tests.support.programs import run_python

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path


def copy(folder: Path, *words: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = run_python("-m", "usage_store", "copy", *words, cwd=folder)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done


def test_a_store_goes_to_the_server_and_back(compacted: Path, postgresql_url: str) -> None:
    folder = compacted.parent
    there = copy(folder, compacted, postgresql_url)
    assert "  150 snapshots of one\n" in there.stdout
    assert there.stdout.endswith("the same on both sides: 300 snapshots of 3 sessions, 1 configurations\n")
    back = copy(folder, postgresql_url, "back.db", "--json")
    data = json.loads(back.stdout)
    assert (data["ok"], data["copied"], len(data["sessions"])) == (True, 300, 3)
    assert all(f"{each['hash']}  {each['snapshots']}" in there.stdout for each in data["sessions"])
    assert content(folder / "back.db") == content(compacted)
    copy(folder, "back.db", postgresql_url, "--verify")
    assert "copied 0 snapshots" in copy(folder, "back.db", postgresql_url, "--resume").stdout


def test_exit_codes_tell_what_is_wrong(compacted: Path, tmp_path: Path) -> None:
    assert "TARGET" in copy(tmp_path, compacted, code=2).stderr
    assert "not --database" in copy(tmp_path, "source.db", "b.db", "--database", "c.db", code=2).stderr
    assert "one argument too many" in copy(tmp_path, "a.db", "b.db", "c.db", code=2).stderr
    assert "no such database" in copy(tmp_path, "nowhere.db", "b.db", code=8).stderr
    assert "no such database" in copy(tmp_path, "source.db", "b.db", "--verify", code=8).stderr
    copy(tmp_path, "source.db", "b.db")
    assert "or go on with a copy of the same source by --resume" in copy(tmp_path, "source.db", "b.db", code=2).stderr
    script(tmp_path / "b.db", "DELETE FROM usage_snapshots WHERE id = 2")
    different = copy(tmp_path, "source.db", "b.db", "--verify", code=4).stdout
    assert "149 snapshots in the target" in different
    assert different.endswith("; what was changed or deleted there needs a copy to an empty database\n")
    assert sorted(each.name for each in tmp_path.glob("*.db")) == ["b.db", "source.db"]


def test_rows_that_do_not_fit_are_printed(compacted: Path, postgresql_url: str) -> None:
    script(compacted, "INSERT INTO usage_snapshots (session_id, snapshot_data) VALUES ('one', 'not JSON')")
    done = copy(compacted.parent, compacted, postgresql_url, code=4)
    first, row = done.stdout.splitlines()
    assert first == "nothing was copied: the target cannot hold 1 rows"
    assert row.startswith("  snapshot 302: ")
