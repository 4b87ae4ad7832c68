"""`maintain` prints a few lines about its work, and one line for an error."""

from __future__ import annotations

import json
import re
from contextlib import closing
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING

import pytest

from tests.support.clock import TICKING
from tests.support.commands import UNPRIVILEGED, maintain_command, needs_setpriv
from tests.support.databases import dump, files_of, opened, raw, rows, script
from tests.support.driver import sqlite3
from tests.support.engines import differs
from tests.support.maintenance import maintain_by_default_waiting
from tests.support.programs import TIMEOUT, run_python
from tests.support.snapshots import fill, filled, ids_in, on_disk, plain_rows
from tests.support.stores import filled_at
from tests.support.terminals import on_terminal
from usage_store import UsageSession, init_database
from usage_store.cli.grammar.options import size
from usage_store.migrate import MigrationRunner
from usage_store.models import MODELS

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.support.engines import Place


PRUNED = ("--retention-days", "30")
UNITS = r"[\d,]+ bytes"


@pytest.fixture
def anywhere(store_target: Place) -> Place:
    """Give the place of a database of 600 snapshots of the last 60 days on each engine, without open connections."""
    return filled_at(store_target)


def maintained(place: Place, *words: str) -> subprocess.CompletedProcess[str]:
    return maintain_command("--database", str(place), *words, cwd=place.parent)


def compacted(place: Place, count: int) -> int:
    """Give how many snapshots are compacted: on a server, none."""
    return 0 if differs(place, "compaction") else count


def fails(result: subprocess.CompletedProcess[str], code: int, *says: str) -> None:
    assert result.returncode == code, result.stderr
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[-1].startswith("error: ")
    assert "Traceback" not in result.stderr
    assert all(word in lines[-1] for word in says), result.stderr


@pytest.mark.quick
def test_maintain_follows_its_options_and_prints_two_lines(path: Path) -> None:
    before = path.stat().st_size
    result = maintain_command(*PRUNED, cwd=path.parent)
    assert (result.returncode, result.stderr) == (0, "")
    what, size = result.stdout.splitlines()
    assert re.fullmatch(r"pruned 300, compacted 230, evicted 0 snapshots in \d+\.\d s, longest lock \d+ ms", what)
    assert size == f"{before:,} bytes before, {path.stat().st_size:,} after"
    assert path.stat().st_size < before / 2
    assert len(ids_in(path)) == 300
    assert maintain_command(*PRUNED, cwd=path.parent).stdout.startswith(
        "pruned 0, compacted 0, evicted 0 snapshots in "
    )


def test_on_each_engine_it_prunes_and_prints_two_lines(anywhere: Place) -> None:
    result = maintained(anywhere, *PRUNED)
    assert (result.returncode, result.stderr) == (0, "")
    what, size = result.stdout.splitlines()
    number = compacted(anywhere, 230)
    assert re.fullmatch(rf"pruned 300, compacted {number}, evicted 0 snapshots in \d+\.\d s, longest .+ ms", what)
    assert re.fullmatch(rf"{UNITS} before, [\d,]+ after", size)
    assert len(ids_in(anywhere)) == 300


def test_without_options_nothing_is_deleted(anywhere: Place) -> None:
    said = f"pruned 0, compacted {compacted(anywhere, 530)}, evicted 0 "
    assert maintained(anywhere).stdout.startswith(said)
    assert len(ids_in(anywhere)) == 600


def test_with_no_compact_nothing_is_compacted(path: Path) -> None:
    assert maintain_command("--no-compact", cwd=path.parent).stdout.startswith("pruned 0, compacted 0, ")
    assert maintain_command("--compact-after-days", "50", cwd=path.parent).stdout.startswith(
        "pruned 0, compacted 100, "
    )


def test_a_dry_run_writes_nothing_and_exits_with_0(anywhere: Place) -> None:
    before = files_of(anywhere.parent), dump(anywhere)
    result = maintained(anywhere, *PRUNED, "--dry-run")
    assert (files_of(anywhere.parent), dump(anywhere)) == before
    assert (result.returncode, result.stderr) == (0, "")
    number = compacted(anywhere, 230)
    first = f"would prune 300, compact {number}, evict 0 snapshots\n"
    assert re.fullmatch(rf"{first}{UNITS} now, about [\d,]+ afterwards\n", result.stdout)


def test_json_has_the_same_result_for_programs(anywhere: Place) -> None:
    told = json.loads(maintained(anywhere, *PRUNED, "--json", "--dry-run").stdout)
    done = json.loads(maintained(anywhere, *PRUNED, "--json").stdout)
    number = compacted(anywhere, 230)
    left = ["300 snapshots to be pruned", *(["230 snapshots to be compacted"] if number else [])]
    assert told["left"][: len(left)] == left
    assert (done["pruned"], done["compacted"], done["evicted"], done["left"]) == (300, number, 0, [])
    if isinstance(anywhere, Path):
        assert done["bytes_after"] == anywhere.stat().st_size
    result = maintain_command("--database", "missing.db", "--json", cwd=anywhere.parent)
    error = json.loads(result.stdout)
    assert (result.returncode, error["error"], error["exit_code"]) == (8, "DatabaseUnreadable", 8)
    assert result.stderr == f"error: {error['message']}\n"


def test_work_left_by_a_budget_is_listed_and_exits_with_1(anywhere: Place) -> None:
    result = maintained(anywhere, *PRUNED, "--budget", "0.000001")
    assert (result.returncode, result.stderr) == (1, "")
    assert re.search(r"^left: \d+ snapshots to be pruned$", result.stdout, re.MULTILINE)
    assert maintained(anywhere, *PRUNED).returncode == 0


def test_a_file_that_cannot_shrink_can_after_one_vacuum(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    script(path, "CREATE TABLE host_notes (note TEXT)")
    with opened(path) as database, database.bind_ctx(MODELS):
        MigrationRunner(database).migrate()
        UsageSession.register("s")
        fill(database, 600, 60)
    result = maintain_command(*PRUNED, cwd=tmp_path)
    assert result.returncode == 1
    assert "left: " in result.stdout
    assert "only after one VACUUM of this file (--vacuum" in result.stdout
    assert rows(path, "PRAGMA auto_vacuum") == [(0,)]
    before = path.stat().st_size
    assert maintain_command("--vacuum", cwd=tmp_path).returncode == 0
    assert path.stat().st_size < before * 0.75
    assert rows(path, "PRAGMA auto_vacuum") == [(2,)]


@pytest.mark.parametrize("size", ["16M", "16777216", "1G", "16384k"])
def test_sizes_have_units(path: Path, size: str) -> None:
    assert maintain_command("--max-bytes", size, cwd=path.parent).returncode == 0


def test_max_bytes_limits_the_size_and_a_larger_limit_deletes_nothing(tmp_path: Path) -> None:
    path = filled(tmp_path / "usage.db", 5000)
    assert maintain_command("--no-compact", "--max-bytes", "1G", cwd=tmp_path).stdout.startswith(
        "pruned 0, compacted 0, evicted 0 "
    )
    assert on_disk(path) > 16 * 2**20
    told = maintain_command("--no-compact", "--max-bytes", "16M", cwd=tmp_path).stdout
    left = ids_in(path)
    assert told.startswith(f"pruned 0, compacted 0, evicted {5000 - len(left):,} snapshots ")
    assert left == list(range(5001 - len(left), 5001))
    assert on_disk(path) <= 16 * 2**20


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--max-bytes", "much"), "--max-bytes: 'much' is not a number of bytes such as 500M or 2G"),
        (("--max-bytes", "-5"), "--max-bytes: '-5' is not a number of bytes"),
        (("--max-bytes", "15M"), "max_bytes: 15728640 is not allowed; allowed: an int from 16777216 up"),
        (("--retention-days", "0"), "retention_days: 0.0 is not allowed"),
        (("--budget", "-1"), "budget: -1.0 is not allowed"),
        (("--compact-after-days", "nan"), "compact_after_days: nan is not allowed"),
        (("--keep",), "--keep is not an option of `python -m usage_store.maintain`"),
        (("--database", "mysql://me:secret@host/db"), "mysql://me:***@host/db"),
        (("postgresql://me:secret@host/db",), "postgresql://me:***@host/db"),
        (("--max-bytes", "postgresql://me:secret@host/db"), "postgresql://me:***@host/db"),
        (("--database", ""), "empty string"),
    ],
)
def test_a_usage_error_exits_with_2_and_changes_nothing(path: Path, words: tuple[str, ...], says: str) -> None:
    before = files_of(path.parent)
    result = maintain_command(*words, cwd=path.parent)
    fails(result, 2, says)
    assert "secret" not in result.stderr
    assert files_of(path.parent) == before


def test_a_database_without_usage_tables_is_told_to_migrate(store_target: Place) -> None:
    script(store_target, "CREATE TABLE host_notes (note TEXT)")
    fails(maintained(store_target), 2, "usage-store migrate")


def test_a_file_that_is_no_database_exits_with_8(tmp_path: Path) -> None:
    (tmp_path / "garbage.db").write_bytes(b"not a database, " * 1000)
    (tmp_path / "folder.db").mkdir()
    for name in ("garbage.db", "folder.db", "missing.db", "no/such/folder.db"):
        fails(maintain_command("--database", name, cwd=tmp_path), 8, name)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["folder.db", "garbage.db"]


def test_no_password_is_shown_to_programs_either(tmp_path: Path) -> None:
    result = maintain_command("--json", USAGE_STORE_DATABASE="mysql://me:secret@host/db", cwd=tmp_path)
    assert result.returncode == json.loads(result.stdout)["exit_code"] == 2
    assert "secret" not in result.stdout + result.stderr
    assert "mysql://me:***@host/db" in result.stdout


@needs_setpriv
def test_a_read_only_file_exits_with_8_and_a_dry_run_works(path: Path) -> None:
    path.chmod(0o444)
    for more, code in ((["--dry-run"], 0), ([], 8)):
        result = maintain_command(*PRUNED, *more, cwd=path.parent, before=UNPRIVILEGED)
        assert result.returncode == code, result.stderr
        assert re.fullmatch(r"error: usage\.db: .+\n" if code else "", result.stderr)
    assert len(plain_rows(path)) == 600


@pytest.mark.parametrize("words", [(), PRUNED, ("--max-bytes", "16M")])
def test_a_locked_database_exits_with_6(path: Path, words: tuple[str, ...]) -> None:
    with raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        fails(
            maintain_command(*words, "--wait", "0.2", cwd=path.parent), 6, "another process holds the database's lock"
        )
        told = json.loads(maintain_command(*words, "--wait", "0.2", "--json", cwd=path.parent).stdout)
        assert (told["error"], told["exit_code"]) == ("DatabaseLocked", 6)
        assert maintain_command(*words, "--dry-run", cwd=path.parent).returncode == 0
    assert len(plain_rows(path)) == 600


def test_the_database_may_be_named_by_the_environment(path: Path) -> None:
    elsewhere = path.parent / "elsewhere"
    elsewhere.mkdir()
    assert maintain_command("--database", path, USAGE_STORE_DATABASE="missing.db", cwd=elsewhere).returncode == 0
    script(path, "INSERT INTO usage_snapshots (session_id, snapshot_data, timestamp) VALUES ('s', '{}', 0)")
    assert maintain_command(USAGE_STORE_DATABASE=str(path), cwd=elsewhere).stdout.startswith("pruned 0, compacted 1,")
    assert list(elsewhere.iterdir()) == []


# Ctrl-C is sent after the commit of the second transaction.
INTERRUPTED = """
import os, signal, sys
import peewee
from usage_store.cli.main import main

def watched(kind):
    def commit(self, commit=kind.commit, commits=[]):
        commit(self)
        commits.append(self)
        if len(commits) == 2:
            os.kill(os.getpid(), signal.SIGINT)
    kind.commit = commit

from usage_store.engines.interface.pace import Pace
Pace.size = property(lambda self: 100, lambda self, value: None)
if "://" in sys.argv[2]:
    from usage_store.engines.postgresql.connection.our_connections import OurServer
    watched(OurServer)
else:
    from usage_store.engines.sqlite.connection.open_file import SqliteFile
    watched(SqliteFile)
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job is started without
sys.exit(main(door=("maintain",)))
"""


@pytest.mark.quick
def test_ctrl_c_exits_with_130_and_committed_work_stays(anywhere: Place) -> None:
    process = run_python("-c", INTERRUPTED, "--database", str(anywhere), *PRUNED, cwd=anywhere.parent)
    assert (process.returncode, process.stdout, process.stderr) == (130, "", "")
    assert 300 < len(ids_in(anywhere)) < 600
    assert maintained(anywhere, *PRUNED).returncode == 0
    assert len(ids_in(anywhere)) == 300


SLOW = TICKING.format(tick=0.3) + "from usage_store.cli.main import main; main(door=('maintain',))"


def test_a_terminal_shows_progress_and_a_pipe_does_not(path: Path) -> None:
    assert maintain_command("--dry-run", cwd=path.parent).stderr == ""
    result = on_terminal("-c", SLOW, cwd=path.parent)
    assert result.out.startswith("pruned 0, compacted 530, ")
    assert re.search(r"compacted: [\d,]+ of 530 \(\d+ %\), [\d,]+ a second, [\d,]+ s left", result.err)
    assert result.err.endswith("\x1b[K\r")


def test_maintain_waits_for_a_lock_as_long_as_wait_says(path: Path) -> None:
    with raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        assert maintain_by_default_waiting(100_000, path.parent, "--wait", "0.2").returncode == 6


def test_a_dry_run_does_not_switch_a_file_to_wal(path: Path) -> None:
    script(path, "PRAGMA journal_mode = DELETE")
    before = files_of(path.parent)
    assert maintain_command("--retention-days", "30", "--dry-run", cwd=path.parent).returncode == 0
    assert files_of(path.parent) == before


@pytest.mark.parametrize(
    ("text", "number"), [("7", 7), ("3k", 3 * 1024), ("5M", 5 * 1024**2), ("2G", 2 * 1024**3), ("2GiB", 2 * 1024**3)]
)
def test_units_are_powers_of_1024(text: str, number: int) -> None:
    assert size(text) == number


@pytest.mark.parametrize("wait", ["nan", "-1", "1e99"])
def test_an_invalid_wait_is_a_usage_error_as_in_migrate(tmp_path: Path, wait: str) -> None:
    init_database(tmp_path / "usage.db").close()
    assert maintain_command("--wait", wait, cwd=tmp_path).returncode == 2


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Provide a connection that also locks out readers, as EXCLUSIVE does with a rollback journal."""
    init_database(tmp_path / "usage.db").close()
    script(tmp_path / "usage.db", "PRAGMA journal_mode = DELETE")
    with closing(sqlite3.connect(tmp_path / "usage.db", isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield other


@pytest.mark.usefixtures("locked")
def test_a_short_wait_is_short_also_if_readers_are_locked_out(tmp_path: Path) -> None:
    assert maintain_by_default_waiting(100_000, tmp_path, "--wait", "0.2").returncode == 6


def test_a_long_wait_is_long_also_if_readers_are_locked_out(tmp_path: Path, locked: sqlite3.Connection) -> None:
    release = Timer(2, lambda: locked.execute("ROLLBACK"))
    release.start()
    result = maintain_by_default_waiting(0.01, tmp_path, "--wait", str(TIMEOUT))
    release.join(TIMEOUT)
    assert result.returncode == 0, result.stderr
