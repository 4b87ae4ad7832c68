"""If a command cannot write its output, its work is done, its exit code is the same, and there is no traceback."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.commands import app, besides_the_file, own
from tests.support.databases import dump, script
from tests.support.migrations import history, migrate_all, table, write
from tests.support.programs import TIMEOUT, environment, run_python
from tests.support.snapshots import filled, plain_rows
from tests.test_convert import ORIGINAL
from usage_store import init_database
from usage_store.engines.sqlite.copies.back_up import back_up

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
NO_SPACE = "error: the output could not be written: No space left on device\n"
needs_full = pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a usage store, and two migrations in `own` for `app.db`."""
    filled(tmp_path / "usage.db", 40)
    write(tmp_path / "own", {"001_one": table("one"), "002_two": table("two")})
    return tmp_path


def run(words: Sequence[str], cwd: Path, stdout: Any, stderr: Any = subprocess.PIPE) -> tuple[int, str | None]:
    command = [sys.executable, "-m", f"usage_store.{words[0]}", *words[1:]]
    environ = environment(PYTHONUNBUFFERED="")  # the output is written at the end, as usual
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


def created_by(words: Sequence[str], folder: Path) -> str:
    """Return the line on stderr of a command that creates `app.db`."""
    return f"created {folder}/app.db\n" if words[: len(OWN)] == OWN else ""


@needs_full
@pytest.mark.parametrize("words", WORDS)
def test_a_full_disk_behind_stdout_is_one_line(folder: Path, words: tuple[str, ...]) -> None:
    assert on_full(words, folder) == (0, created_by(words, folder) + NO_SPACE)


@pytest.mark.parametrize("words", WORDS)
def test_a_reader_that_has_ended_is_no_error(folder: Path, words: tuple[str, ...]) -> None:
    assert on_closed_pipe(words, folder) == (0, created_by(words, folder))


@needs_full
def test_the_work_is_done_also_if_the_reader_has_ended(anywhere: Path) -> None:
    assert on_closed_pipe(("migrate", *own(anywhere)), anywhere)[0] == 0
    assert history(app(anywhere)) == [1, 2]
    assert on_full(("migrate", "rollback", "0", "--no-backup", *own(anywhere)), anywhere)[0] == 0
    assert history(app(anywhere)) == []
    usage = own(anywhere)[:2]
    assert on_closed_pipe(("migrate", *usage), anywhere)[0] == 0
    for words in (("maintain", *usage), ("maintain", *usage, "--dry-run", "--json"), ("migrate", "status", *usage)):
        assert on_closed_pipe(words, anywhere) == (0, "")
        assert on_full(words, anywhere) == (0, NO_SPACE)


def test_maintenance_is_done_also_if_the_reader_has_ended(folder: Path) -> None:
    assert on_closed_pipe(WORDS[0], folder)[0] == 0
    assert len(plain_rows(folder / "usage.db")) < 10


def test_an_earlier_error_keeps_its_line_and_its_exit_code(folder: Path) -> None:
    for words in (
        ("maintain", "--database", "none.db", "--json"),
        ("migrate", "status", "--database", "none", "--json"),
    ):
        (folder / "none").mkdir(exist_ok=True)
        code, said = on_closed_pipe(words, folder)
        assert code == 8
        assert said is not None
        assert said.startswith(("error: none", f"error: {folder}/none.db"))
        assert said.count("\n") == 1


@needs_full
def test_errors_that_cannot_be_printed_keep_their_exit_code(folder: Path) -> None:
    with FULL.open("w") as full:
        assert run(("maintain", "--database", "none.db"), folder, subprocess.DEVNULL, full)[0] == 8
        assert run(("migrate", "log", "--database", "none.db"), folder, subprocess.DEVNULL, full)[0] == 8
        assert run(("convert", "none.db"), folder, subprocess.DEVNULL, full)[0] == 8


def test_without_any_output_at_all_the_work_is_done(anywhere: Path) -> None:
    command = f"{shlex.join([sys.executable, '-m', 'usage_store.migrate', *own(anywhere)])} >&- 2>&-"
    done = subprocess.run(["sh", "-c", command], cwd=anywhere, env=environment(), timeout=TIMEOUT, check=False)
    assert done.returncode == 0
    assert history(app(anywhere)) == [1, 2]


def test_a_file_name_that_the_terminal_cannot_show_causes_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / "café.db"
    with closing(init_database(path)):
        pass
    command = [sys.executable, "-m", "usage_store.migrate", "backup", "--database", str(path)]
    done = subprocess.run(
        command, env=environment(PYTHONIOENCODING="ascii"), capture_output=True, timeout=TIMEOUT, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"caf\xe9.db.v" in done.stdout


EVERY_COMMAND = [
    ("migrate", 0),
    ("migrate rollback", 0),
    ("migrate rollback 0 --verbose", 0),
    ("migrate status", 0),
    ("migrate check", 1),
    ("migrate validate", 0),
    ("migrate plan", 0),
    ("migrate rehearse", 0),
    ("migrate create four", 0),
    ("migrate stamp 3", 0),
    ("migrate stamp 9", 2),
    ("migrate adopt playhouse", 3),
    ("migrate log", 0),
    ("migrate backup", 0),
    ("migrate restore old.backup", 0),
    ("migrate --database none/app.db", 8),
    ("maintain --database usage.db --retention-days 30", 0),
    ("convert original.db", 0),
    ("convert none.db", 8),
]
NOWHERE = ("2>&-", "<&- >&- 2>&-", ">/dev/full 2>&1")
SCHEMA = ("app.db", "usage.db", "original.db")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which every command has something to do."""
    folder = tmp_path_factory.mktemp("prepared")
    files = write(folder / "own", {"001_one": table("one"), "002_two": table("two")})
    migrate_all(folder / "app.db", files)
    script(folder / "app.db", "INSERT INTO one (title) VALUES ('a row, for which a backup is made')")
    back_up(folder / "app.db", 2).rename(folder / "old.backup")
    write(files, {"003_three": table("three")})
    filled(folder / "usage.db", 40)
    script(folder / "original.db", ORIGINAL)
    return folder


def in_shell(prepared: Path, folder: Path, words: str, streams: str) -> tuple[int, str, list[Any]]:
    """Run a command in a copy of the folder. Return its exit code, its stderr, and the files of the copy at the end."""
    shutil.copytree(prepared, folder)
    where = "--directory own --table schema_migrations" if words.startswith("migrate") else ""
    if words.startswith("migrate") and "--database" not in words:
        where += " --database app.db"
    command = f"{shlex.quote(sys.executable)} -m usage_store.{words} {where} {streams}"
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    schemas = [dump(folder / name)["schema"] for name in SCHEMA]
    kinds = sorted(path.suffix for path in folder.rglob("*") if "__pycache__" not in path.parts)
    return done.returncode, done.stderr, [schemas, kinds]


@needs_full
@pytest.mark.parametrize(("words", "code"), EVERY_COMMAND)
def test_every_command_does_its_work_if_nothing_can_be_printed(
    prepared: Path, tmp_path: Path, words: str, code: int
) -> None:
    usual = in_shell(prepared, tmp_path / "usual", words, "2>said")
    assert usual[0] == code
    for number, streams in enumerate(NOWHERE):
        found = in_shell(prepared, tmp_path / str(number), words, f"{streams}; code=$?; : >said; exit $code")
        assert (found[0], found[2]) == (code, usual[2]), streams
        assert "Traceback" not in found[1]
        assert "Logging error" not in found[1]


def test_no_opened_file_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    looks = "def up(migrator, db):\n    import os\n    os.write(1, b'lost')\n    os.write(2, b'lost')\n"
    write(tmp_path / "own", {"001_looks": looks})
    words = "migrate --database app.db --directory own --table h"
    command = f"{shlex.quote(sys.executable)} -m usage_store.{words} <&- >&- 2>&-"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environment(), timeout=TIMEOUT, check=False)
    assert done.returncode == 0
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes()[:4] == b"lost"]


def test_a_migration_can_print_bytes_and_pass_stdout_to_programs(tmp_path: Path) -> None:
    prints = """
def up(migrator, db):
    import subprocess, sys
    sys.stdout.buffer.write(b"bytes ")
    sys.stdout.flush()
    subprocess.run(["echo", "of a program", sys.stdout.encoding.lower()], stdout=sys.stdout, check=True)
    print("a note", file=sys.stderr)
"""
    write(tmp_path / "own", {"001_prints": prints})
    done = run_python("-m", "usage_store.migrate", *OWN[1:], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, f"created {tmp_path}/app.db\na note\n"), done.stderr
    assert done.stdout.startswith("bytes of a program utf-8\napplied 001_prints")


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}  # without Python's UTF-8 mode


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a file's name is text")
@pytest.mark.parametrize(
    ("name", "locale"),
    [
        (b"caf\xc3\xa9.db", ASCII),
        (b"caf\xc3\xa9.db", {"PYTHONIOENCODING": "ascii:strict"}),
        (b"\xff.db", ASCII),
        (b"\xff.db", {}),
    ],
)
def test_a_file_whose_name_is_not_valid_text_is_a_database_like_any_other(
    tmp_path: Path, name: bytes, locale: dict[str, str]
) -> None:
    write(tmp_path / "own", {"001_one": table("one"), "002_two": table("two")})
    where = ("--database", os.fsdecode(name), "--directory", "own", "--table", "h")
    for word, code in (
        ("check", 1),
        ("", 0),
        ("status", 0),
        ("rollback", 0),
        ("rehearse", 0),
        ("backup", 0),
        ("log", 0),
    ):
        words = [*filter(None, [word]), *where, *(["--no-backup"] if word == "rollback" else [])]
        done = run_python("-m", "usage_store.migrate", *words, cwd=tmp_path, **locale)
        assert (done.returncode, besides_the_file(done)) == (code, ""), word
    missing = os.fsdecode(b"no-" + name)
    done = run_python("-m", "usage_store.migrate", "validate", "--database", missing, cwd=tmp_path, **locale)
    assert done.returncode == 8
    assert done.stderr.startswith(f"error: {tmp_path}/no-")
    assert history(tmp_path / os.fsdecode(name), "h") == [1]
