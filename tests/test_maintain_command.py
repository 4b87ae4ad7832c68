"""`python -m usage_store.maintain` says in a few lines what it did, and in one what went wrong."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.compacted import filled, ids_in
from tests.support import TIMEOUT, environment, files_of, raw, script

if TYPE_CHECKING:
    from pathlib import Path

PRUNED = ("--retention-days", "30")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name a database of 600 snapshots of the last 60 days, nobody connected to it."""
    return filled(tmp_path / "usage.db")


def run(cwd: Path, *words: str | Path, **extra: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "usage_store.maintain", *map(str, words)]
    environ = environment(**extra)
    return subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=TIMEOUT, check=False)


def fails(result: subprocess.CompletedProcess[str], code: int, *says: str) -> None:
    assert result.returncode == code, result.stderr
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[-1].partition(" ")[0] in {"error:", "python"}
    assert "Traceback" not in result.stderr
    assert all(word in lines[-1] for word in says), result.stderr


def test_it_does_what_the_options_say_and_tells_it_in_two_lines(path: Path) -> None:
    before = path.stat().st_size
    result = run(path.parent, *PRUNED)
    assert (result.returncode, result.stderr) == (0, "")
    what, size = result.stdout.splitlines()
    assert re.fullmatch(r"pruned 300, compacted 230, evicted 0 snapshots in \d+\.\d s, longest lock \d+ ms", what)
    assert size == f"{before:,} bytes before, {path.stat().st_size:,} after"
    assert path.stat().st_size < before / 2
    assert len(ids_in(path)) == 300
    assert run(path.parent, *PRUNED).stdout.startswith("pruned 0, compacted 0, evicted 0 snapshots in ")


def test_without_options_nothing_is_deleted(path: Path) -> None:
    assert run(path.parent).stdout.startswith("pruned 0, compacted 530, evicted 0 ")
    assert len(ids_in(path)) == 600


def test_nothing_is_compacted_if_so_wished(path: Path) -> None:
    assert run(path.parent, "--no-compact").stdout.startswith("pruned 0, compacted 0, ")
    assert run(path.parent, "--compact-after-days", "50").stdout.startswith("pruned 0, compacted 100, ")


def test_a_dry_run_writes_nothing_and_exits_with_0(path: Path) -> None:
    before = files_of(path.parent)
    result = run(path.parent, *PRUNED, "--dry-run")
    assert files_of(path.parent) == before
    assert (result.returncode, result.stderr) == (0, "")
    assert re.fullmatch(
        r"would prune 300, compact 230, evict 0 snapshots\n[\d,]+ bytes now, about [\d,]+ afterwards\n", result.stdout
    )


def test_json_tells_the_same_to_programs(path: Path) -> None:
    told = json.loads(run(path.parent, *PRUNED, "--json", "--dry-run").stdout)
    done = json.loads(run(path.parent, *PRUNED, "--json").stdout)
    assert told["left"][:2] == ["300 snapshots to be pruned", "230 snapshots to be compacted"]
    assert (done["pruned"], done["compacted"], done["evicted"], done["left"]) == (300, 230, 0, [])
    assert done["bytes_after"] == path.stat().st_size
    result = run(path.parent, "--database", "missing.db", "--json")
    error = json.loads(result.stdout)
    assert (result.returncode, error["error"], error["exit_code"]) == (8, "DatabaseUnreadable", 8)
    assert result.stderr == f"error: {error['message']}\n"


def test_what_a_budget_leaves_is_said_and_the_exit_code_is_1(path: Path) -> None:
    result = run(path.parent, *PRUNED, "--budget", "0.000001")
    assert (result.returncode, result.stderr) == (1, "")
    assert re.search(r"^left: \d+ snapshots to be pruned$", result.stdout, re.MULTILINE)
    assert run(path.parent, *PRUNED).returncode == 0


def test_a_file_that_cannot_shrink_can_after_one_rewriting(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    script(path, "CREATE TABLE host_notes (note TEXT)")
    filled(path)
    result = run(tmp_path, *PRUNED)
    assert result.returncode == 1
    assert "left: " in result.stdout
    assert "one VACUUM (--vacuum" in result.stdout
    before = path.stat().st_size
    assert run(tmp_path, "--vacuum").returncode == 0
    assert path.stat().st_size < before * 0.75


@pytest.mark.parametrize("size", ["16M", "16777216", "1G", "16384k"])
def test_sizes_have_units(path: Path, size: str) -> None:
    assert run(path.parent, "--max-bytes", size).returncode == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--max-bytes", "much"), "much is not a number of bytes such as 500M or 2G"),
        (("--max-bytes", "-5"), "argument --max-bytes"),
        (("--max-bytes", "15M"), "max_bytes: 15728640 is not allowed; allowed: an int from 16777216 up"),
        (("--retention-days", "0"), "retention_days: 0.0 is not allowed"),
        (("--budget", "-1"), "budget: -1.0 is not allowed"),
        (("--compact-after-days", "nan"), "compact_after_days: nan is not allowed"),
        (("--keep",), "unrecognized arguments: --keep"),
        (("--database", "postgresql://me:secret@host/db"), "postgresql://me:***@host/db"),
        (("--database", ""), "empty string"),
    ],
)
def test_a_usage_error_exits_with_2_and_changes_nothing(path: Path, words: tuple[str, ...], says: str) -> None:
    before = files_of(path.parent)
    result = run(path.parent, *words)
    fails(result, 2, says)
    assert "secret" not in result.stderr
    assert files_of(path.parent) == before


def test_a_database_without_usage_tables_is_told_to_migrate(tmp_path: Path) -> None:
    script(tmp_path / "usage.db", "CREATE TABLE host_notes (note TEXT)")
    fails(run(tmp_path), 2, "python -m usage_store.migrate")


def test_what_is_no_database_exits_with_8(tmp_path: Path) -> None:
    (tmp_path / "garbage.db").write_bytes(b"not a database, " * 1000)
    (tmp_path / "folder.db").mkdir()
    for name in ("garbage.db", "folder.db", "missing.db", "no/such/folder.db"):
        fails(run(tmp_path, "--database", name), 8, name)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["folder.db", "garbage.db"]


def test_a_locked_database_exits_with_6(path: Path) -> None:
    with raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        fails(run(path.parent, *PRUNED, "--wait", "0.2"), 6, "another process holds the database's lock")
    assert len(ids_in(path)) == 600


def test_the_database_may_be_named_by_the_environment(path: Path) -> None:
    elsewhere = path.parent / "elsewhere"
    elsewhere.mkdir()
    assert run(elsewhere, USAGE_STORE_DATABASE=str(path)).stdout.startswith("pruned 0, compacted 530,")
    assert list(elsewhere.iterdir()) == []


def test_an_interruption_exits_with_130_and_what_was_done_stays(path: Path) -> None:
    filled(path, 12_000)
    command = [sys.executable, "-m", "usage_store.maintain", *PRUNED]
    process = subprocess.Popen(command, cwd=path.parent, env=environment(), stderr=subprocess.PIPE, text=True)
    while len(ids_in(path)) == 12_600:
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=TIMEOUT)[1] == ""
    assert process.returncode == 130
    assert 6300 <= len(ids_in(path)) < 12_600
    assert run(path.parent, *PRUNED).returncode == 0
    assert len(ids_in(path)) == 6300


def test_a_terminal_shows_progress_and_a_pipe_does_not(path: Path) -> None:
    filled(path, 25_000)
    assert run(path.parent, "--dry-run").stderr == ""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "usage_store.maintain"]
    process = subprocess.Popen(command, cwd=path.parent, env=environment(), stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 1000):
            shown += part
    except OSError:
        pass  # the other end is closed
    assert process.communicate(timeout=TIMEOUT)[0].startswith(b"pruned 0, compacted ")
    os.close(ours)
    assert re.search(rb"compacted: [\d,]+ of 22,\d\d\d \(\d+ %\), [\d,]+ a second, [\d,]+ s left", shown)
    assert shown.endswith(b"\x1b[K\r")
