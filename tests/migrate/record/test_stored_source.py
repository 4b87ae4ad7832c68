"""The source in the log is run only on request, never if it is damaged, and a huge one does not fill the memory."""

from __future__ import annotations

import hashlib
import json
import re
import resource
import zlib
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import app, called, command, error, own, run
from tests.support.databases import dump, raw, rows
from tests.support.engines import folder_with_place
from tests.support.migrations import history, migrate_all, runner_of, table, write
from tests.support.programs import run_python
from usage_store import errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.quick

PLANTED = b"""\
from pathlib import Path
Path('ran.txt').write_text('ran')
def up(migrator, db): pass
def down(migrator, db): db.execute_sql('CREATE TABLE undone (a INTEGER)')
"""


@pytest.fixture
def empty(server: str, tmp_path: Path) -> Iterator[Path]:
    with folder_with_place(server, tmp_path) as folder:
        yield folder


@pytest.fixture
def folder(empty: Path) -> Path:
    write(empty / "own", {"001_one": table("one"), "002_two": table("two")})
    migrate_all(app(empty), empty / "own")
    return empty


def plant(
    folder: Path, source: bytes, *, kept: bytes | None = None, noted: str | None = None, version: int = 3
) -> None:
    """Record a migration without a file, with this source in the log."""
    with raw(app(folder)) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES (?, 'harmless', 1)", (version,))
        connection.execute(
            "INSERT INTO schema_migration_log (version, name, action, logged_at, seconds, checksum, source,"
            " fingerprint, package_version) VALUES (?, 'harmless', 'up', 1, 0.1, ?, ?, 'x', '0')",
            (version, noted or hashlib.sha256(source).hexdigest(), zlib.compress(source) if kept is None else kept),
        )


@pytest.mark.parametrize("words", ["status", "check", "validate", "log", "plan", "plan 2", "rehearse", "rollback", ""])
def test_no_command_runs_python_of_the_database_unasked(folder: Path, words: str) -> None:
    plant(folder, PLANTED)
    before = dump(app(folder))
    done = called(*words.split(), *own(folder), cwd=folder)
    assert not (folder / "ran.txt").exists()
    assert dump(app(folder)) == before
    if words in ("plan 2", "rollback"):
        assert done.returncode == 5
        assert done.stderr.count("\n") == 1
        assert "`rollback 2 --stored-source`" in done.stderr


def test_it_runs_on_request(folder: Path) -> None:
    plant(
        folder,
        b"def up(migrator, db): pass\ndef down(migrator, db): db.execute_sql('CREATE TABLE undone (a INTEGER)')\n",
    )
    assert run(folder, "rollback", "--stored-source").stdout.startswith("rolled back 003_harmless")
    assert history(app(folder)) == [1, 2]
    assert rows(app(folder), "SELECT * FROM undone") == []


def test_the_message_of_a_rollback_names_the_request(folder: Path) -> None:
    (folder / "own" / "001_one.py").unlink()
    with runner_of(app(folder), folder / "own") as runner:
        with pytest.raises(errors.MissingMigration, match="`rollback 0 --stored-source`"):
            runner.rollback(0)
        with pytest.raises(errors.MissingMigration, match="`rollback 0 --stored-source`"):
            runner.plan(0)
        assert [str(step.migration) for step in runner.rollback(0, stored_source=True)] == ["002_two", "001_one"]


def test_without_a_source_in_the_log_a_request_says_so(folder: Path) -> None:
    with raw(app(folder)) as connection:
        connection.execute("UPDATE schema_migration_log SET name = 'other' WHERE version = 2")
    (folder / "own" / "002_two.py").unlink()
    before = dump(app(folder))
    line = error(folder, "rollback", "--stored-source", code=3, by=called)
    assert "schema_migration_log has no source of it; restore 002_two.py" in line
    assert dump(app(folder)) == before


DAMAGE = {
    "another text": ({"noted": "0" * 64}, "does not match its checksum"),
    "no text": ({"kept": b"\0\1"}, "cannot be inflated"),
    "half a text": ({"kept": zlib.compress(PLANTED)[:-9]}, "is cut off"),
    "a bomb": ({"kept": zlib.compress(bytes(17 * 2**20))}, "inflates to more than 16 MB"),
}


@pytest.mark.parametrize(("planted", "reason"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_source_does_not_run(folder: Path, planted: dict[str, str], reason: str) -> None:
    plant(folder, PLANTED, **planted)  # type: ignore[arg-type]
    before = dump(app(folder))
    line = error(folder, "rollback", "--stored-source", code=3, by=called)
    assert f"schema_migration_log: the line with id 3, of version 3, is damaged: its source {reason}" in line
    assert not (folder / "ran.txt").exists()
    assert dump(app(folder)) == before


MEASURED = """
import resource, sys
from usage_store.cli.main import main
code = main(["migrate", *sys.argv[1:]])
print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def bomb(megabytes: int = 1024) -> bytes:
    """Compress so many megabytes of zeros, of which each one but the first has the same bytes."""
    packer, megabyte, flush = zlib.compressobj(9), bytes(2**20), zlib.Z_FULL_FLUSH
    first, other = (packer.compress(megabyte) + packer.flush(flush) for _ in range(2))
    checksum = (megabytes * 2**20 % 65521 << 16 | 1).to_bytes(4, "big")  # Adler-32 of zeros
    return first + other * (megabytes - 1) + packer.flush()[:-4] + checksum


BOMB = bomb()


def ended(folder: Path, *words: str) -> tuple[int, str]:
    """Run a command, check that it needs little memory, and return its exit code and its output."""
    before = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    )  # until its start, a process counts the memory of its parent
    done = run_python("-c", MEASURED, *words, cwd=folder)
    code, megabytes = map(int, done.stdout.split()[-2:])
    assert megabytes < before + 200
    return code, done.stdout + done.stderr


@pytest.mark.parametrize("words", ["log", "status", "check", "validate", ""])
def test_a_bomb_in_the_log_takes_no_memory(folder: Path, words: str) -> None:
    with raw(app(folder)) as connection:
        connection.execute("UPDATE schema_migration_log SET source = ?, checksum = 'other' WHERE version = 2", (BOMB,))
    write(folder / "own", {"002_two": table("more"), "003_three": table("three")})
    code, said = ended(folder, *words.split(), *own(folder))
    assert code == 3
    assert "inflates to more than 16 MB" in said


def test_a_bomb_in_the_log_of_the_history_that_is_looked_for_takes_no_memory(empty: Path) -> None:
    words = ("--database", str(app(empty)), "--directory", "own")
    write(empty / "own", {"001_one": table("one")})
    called(*words, cwd=empty)
    with raw(app(empty)) as connection:
        connection.execute("UPDATE own_migrations_log SET source = ?, checksum = 'other'", (BOMB,))
    assert ended(empty, "status", *words)[0] == 2


ENCODED = {
    "latin-1": "# -*- coding: latin-1 -*-\nNAME = 'Zürich'\n".encode("latin-1"),
    "byte order mark": "\ufeffNAME = 'Zürich'\n".encode(),
    "cp1252": "#!/usr/bin/python\n# coding: cp1252\nNAME = 'Zürich'\n".encode("cp1252"),
}
BODY = b"""
def up(migrator, db):
    db.execute_sql("CREATE TABLE city (name TEXT)")
    db.execute_sql("INSERT INTO city VALUES (" + db.param + ")", (NAME,))
def down(migrator, db):
    db.execute_sql("UPDATE city SET name = name || ' was ' || CAST(" + db.param + " AS TEXT)", (NAME,))
"""


@pytest.mark.parametrize("head", ENCODED.values(), ids=ENCODED)
def test_a_stored_source_runs_as_its_file_did_whatever_its_encoding(folder: Path, head: bytes) -> None:
    file = folder / "own" / "003_city.py"
    file.write_bytes(head + BODY)
    run(folder, by=called)
    file.unlink()
    run(folder, "rollback", "--stored-source", "--no-backup", by=called)
    assert rows(app(folder), "SELECT name FROM city") == [("Zürich was Zürich",)]
    logged = json.loads(run(folder, "log", "--json", by=called).stdout)
    assert logged[-1]["source"].endswith((head + BODY).decode("latin-1").removeprefix("ï»¿").replace("Ã¼", "ü"))
    assert not logged[-1]["source"].startswith("\ufeff")


@pytest.mark.parametrize("cookie", ["rot13", "undefined", "zlib", "nonsense"])
def test_a_source_that_python_cannot_decode_is_still_listed(folder: Path, cookie: str) -> None:
    with raw(app(folder)) as connection:
        source = zlib.compress(f"# coding: {cookie}\n".encode())
        connection.execute("UPDATE schema_migration_log SET source = ? WHERE version = 2", (source,))
    assert json.loads(run(folder, "log", "--json", by=called).stdout)[1]["source"] == f"# coding: {cookie}\n"


def test_a_file_that_the_log_could_not_give_back_is_refused(folder: Path) -> None:
    (folder / "own" / "003_long.py").write_text(f"{table('three')}\n#{'x' * 2**24}\n")
    said = command(*own(folder), cwd=folder).stderr
    assert re.fullmatch(r"error: 003_long\.py: has 16,777,\d{3} bytes; at most 16,777,216 are allowed\n", said)
    assert history(app(folder)) == [1, 2]
