"""Where what a command prints cannot be written, its work is done and its exit code stays; there is no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.migrations import history, table, write
from tests.support.programs import TIMEOUT, environment
from tests.support.snapshots import filled, plain_rows
from usage_store import init_database

if TYPE_CHECKING:
    from collections.abc import Sequence

FULL = Path("/dev/full")
OWN = ("migrate", "--database", "app.db", "--directory", "own", "--table", "h")
WORDS = [
    ("maintain", "--database", "usage.db"),
    ("maintain", "--database", "usage.db", "--dry-run", "--json"),
    ("maintain", "--help"),
    OWN,
    (*OWN, "--json"),
    ("migrate", "status", "--database", "usage.db"),
    ("migrate", "status", "--help"),
    ("convert", "usage.db"),
    ("convert", "--help"),
]
needs_full = pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a usage store, and two migrations in `own` for `app.db`."""
    filled(tmp_path / "usage.db", 40)
    write(tmp_path / "own", {"001_one": table("one"), "002_two": table("two")})
    return tmp_path


def run(words: Sequence[str], cwd: Path, stdout: Any, stderr: Any = subprocess.PIPE) -> tuple[int, str | None]:
    command = [sys.executable, "-m", f"usage_store.{words[0]}", *words[1:]]
    environ = environment(PYTHONUNBUFFERED="")  # what is printed is written at the end, as it usually is
    done = subprocess.run(
        command, cwd=cwd, env=environ, stdout=stdout, stderr=stderr, text=True, timeout=TIMEOUT, check=False
    )
    return done.returncode, done.stderr


def on_full(words: Sequence[str], cwd: Path) -> tuple[int, str | None]:
    with FULL.open("w") as full:
        return run(words, cwd, full)


def on_closed_pipe(words: Sequence[str], cwd: Path) -> tuple[int, str | None]:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        return run(words, cwd, writing)
    finally:
        os.close(writing)


@needs_full
@pytest.mark.parametrize("words", WORDS)
def test_an_output_that_is_full_is_one_line(folder: Path, words: tuple[str, ...]) -> None:
    assert on_full(words, folder) == (0, "error: the output could not be written: No space left on device\n")


@pytest.mark.parametrize("words", WORDS)
def test_a_reader_that_went_away_is_no_line(folder: Path, words: tuple[str, ...]) -> None:
    assert on_closed_pipe(words, folder) == (0, "")


def test_the_work_is_done_all_the_same(folder: Path) -> None:
    assert on_closed_pipe(OWN, folder)[0] == 0
    assert history(folder / "app.db", "h") == [1, 2]
    assert on_closed_pipe(WORDS[0], folder)[0] == 0
    assert len(plain_rows(folder / "usage.db")) < 10


def test_what_went_wrong_before_keeps_its_line_and_its_exit_code(folder: Path) -> None:
    for words in (
        ("maintain", "--database", "none.db", "--json"),
        ("migrate", "status", "--database", "none", "--json"),
    ):
        (folder / "none").mkdir(exist_ok=True)
        code, said = on_closed_pipe(words, folder)
        assert code == 8
        assert said is not None
        assert said.startswith("error: none")
        assert said.count("\n") == 1


@needs_full
def test_errors_that_cannot_be_said_keep_their_exit_code(folder: Path) -> None:
    with FULL.open("w") as full:
        assert run(("maintain", "--database", "none.db"), folder, subprocess.DEVNULL, full)[0] == 8
        assert run(("migrate", "log", "--database", "none.db"), folder, subprocess.DEVNULL, full)[0] == 8
        assert run(("convert", "none.db"), folder, subprocess.DEVNULL, full)[0] == 8


def test_without_any_output_at_all_the_work_is_done(folder: Path) -> None:
    command = f'"{sys.executable}" -m usage_store.{" ".join(OWN)} >&- 2>&-'
    assert (
        subprocess.run(["sh", "-c", command], cwd=folder, env=environment(), timeout=TIMEOUT, check=False).returncode
        == 0
    )
    assert history(folder / "app.db", "h") == [1, 2]


def test_a_file_name_that_the_terminal_cannot_show_is_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / "café.db"
    with closing(init_database(path)):
        pass
    command = [sys.executable, "-m", "usage_store.migrate", "backup", "--database", str(path)]
    done = subprocess.run(
        command, env=environment(PYTHONIOENCODING="ascii"), capture_output=True, timeout=TIMEOUT, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"caf\xe9.db.v" in done.stdout
