"""Whatever file is in the place of the database, each command ends with one line and does not change the file."""

from __future__ import annotations

import os
import random
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import called
from tests.support.databases import dump, opened, script
from tests.support.migrations import migrate_all, sql, table, write
from tests.support.programs import ROUNDS, forked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.long

LOOKING = ("status", "check", "validate", "plan", "log")
CHANGING = ("", "rollback 0", "stamp 3", "rehearse", "backup")
FILES = {
    "001_one": table("one"),
    "002_two": sql("CREATE TABLE two (a UNIQUE, b)", "CREATE INDEX two_b ON two (b)", down=["DROP TABLE two"]),
}
SIZE = 4096


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """Return the path of a database with two applied migrations, a pending one, rows and an index."""
    path = tmp_path / "sound" / "app.db"
    path.parent.mkdir()
    directory = write(path.parent / "own", FILES)
    migrate_all(path, directory)
    script(
        path,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500) "
        "INSERT INTO two SELECT 'row ' || i, i * 7919 % 1000 FROM n",
    )
    write(directory, {"003_three": table("three")})
    return path


def run(path: Path, words: str) -> tuple[int, list[str]]:
    """Run a command as the command line does, and return its exit code and its lines about problems."""
    where = ("--database", path, "--directory", "own", "--table", "schema_migrations", "--wait", "0")
    done = called(*words.split(), *where, cwd=path.parent)
    problems = [line for line in done.stdout.splitlines() if line.startswith("problem: ")]
    return done.returncode, [*problems, *done.stderr.splitlines()]


def cut(data: bytes, at: random.Random) -> bytes:
    return data[: at.randrange(len(data))]


def flip(data: bytes, at: random.Random) -> bytes:
    position = at.choice([at.randrange(100), at.randrange(SIZE), at.randrange(len(data))])
    return data[:position] + bytes([data[position] ^ 1 << at.randrange(8)]) + data[position + 1 :]


def noise(data: bytes, at: random.Random) -> bytes:
    start = at.randrange(len(data) // SIZE) * SIZE
    return data[:start] + at.randbytes(SIZE) + data[start + SIZE :]


def zeros(data: bytes, at: random.Random) -> bytes:
    start = at.randrange(len(data) // SIZE) * SIZE
    return data[:start] + bytes(SIZE) + data[start + SIZE :]


@pytest.mark.parametrize("damage", [cut, flip, noise, zeros])
def test_every_command_on_a_damaged_file_prints_a_line_and_reading_commands_change_nothing(
    sound: Path, damage: Callable[[bytes, random.Random], bytes]
) -> None:
    path = sound.with_name("damaged.db")
    for seed in range(8 * ROUNDS):
        damaged = damage(sound.read_bytes(), random.Random(seed))
        for words in LOOKING + CHANGING:
            path.write_bytes(damaged)
            code, said = run(path, words)
            assert code in {0, 1, 2, 3, 4, 5, 7, 8}, (seed, words)
            assert code < 2 or said or words == "rehearse", (seed, words)
            if words in LOOKING:
                assert path.read_bytes() == damaged, (seed, words)
            for rest in path.parent.glob("damaged.db*"):
                rest.unlink()


TEXT = b"just a note to myself\n" * 400


@pytest.mark.quick
@pytest.mark.parametrize("content", [TEXT, TEXT[:10], b"\0" * 8192, b"SQLite format 3\0", b"SQLite format 3\0" + TEXT])
def test_a_file_that_is_no_database_is_never_overwritten(sound: Path, content: bytes) -> None:
    path = sound.with_name("note.txt")
    for words in LOOKING + CHANGING:
        path.write_bytes(content)
        code, said = run(path, words)
        assert (code, len(said)) == (8, 1), (words, said)
        assert path.read_bytes() == content
        assert [each.name for each in path.parent.glob("note.txt*")] == ["note.txt"]


def test_a_folder_is_refused_as_a_database(sound: Path) -> None:
    path = sound.with_name("folder")
    path.mkdir()
    for words in LOOKING + CHANGING:
        code, said = run(path, words)
        assert (code, len(said)) == (8, 1), (words, said)
    assert list(path.iterdir()) == []


def test_an_empty_file_is_a_database_without_migrations(sound: Path) -> None:
    path = sound.with_name("empty.db")
    path.touch()
    command = f"usage-store migrate --database {path} --directory own --table schema_migrations"
    empty = [f"{path}: the database is empty; `{command}` creates its tables"]
    assert run(path, "status") == (0, empty)
    assert run(path, "check") == (1, empty)
    assert path.read_bytes() == b""
    assert run(path, "") == (0, [])
    assert run(path, "check") == (0, [])


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_the_wal_or_journal_of_another_database_is_ignored(sound: Path, suffix: str) -> None:
    path = sound.with_name("copy.db")
    before = dump(sound)
    for content in (b"", TEXT, bytes(5000), random.Random(1).randbytes(9000)):
        shutil.copy(sound, path)
        path.with_name(path.name + suffix).write_bytes(content)
        assert run(path, "check") == (1, [])
        assert dump(path) == before
        assert run(path, "") == (0, [])


@pytest.mark.quick
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_wal_of_a_dead_writer_is_read_by_every_command(sound: Path) -> None:
    def die() -> None:
        with opened(sound) as database:
            database.execute_sql("DELETE FROM schema_migrations WHERE version = 2")
            database.execute_sql("DROP TABLE two")
            os._exit(0)

    assert forked(die) == 0
    assert sound.with_name("app.db-wal").stat().st_size > 0
    for words, code in (("status", 0), ("check", 1), ("validate", 0), ("", 0), ("check", 0)):
        assert run(sound, words)[0] == code, words
    assert {"two", "three"} <= set(dump(sound))
