"""A name may contain control characters.

They are escaped, so that each message is one line and the terminal ignores them.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import OWN, app, called, command, maintain_command, own
from tests.support.databases import script
from tests.support.engines import differs
from tests.support.migrations import migrate_all, python, sql, table, write
from tests.support.terminals import on_terminal
from usage_store.cli.output import Block, shown

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

ODD = "a\x1b[31mred\nerror: \r\t\x07\x9b\u202e"
SHOWN = r"a\x1b[31mred\nerror: \r\t\x07\x9b\u202e"
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e]")


def assert_harmless(done: subprocess.CompletedProcess[str]) -> None:
    assert not CONTROL.search(done.stdout + done.stderr)
    assert not [line for line in done.stdout.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in done.stderr


def test_other_characters_are_printed_unchanged() -> None:
    assert shown("Jürgen's café 🦊 \\n  x") == "Jürgen's café 🦊 \\n  x"
    assert shown(ODD) == SHOWN
    assert shown(Block("CREATE TABLE a (\n\tb\x1b)")) == "CREATE TABLE a (\n\tb\\x1b)"


def test_names_of_files_are_escaped(tmp_path: Path) -> None:
    path = tmp_path / f"{ODD}.db"
    for words in ("", "status", "validate", "log", "backup", "rollback", "rehearse", "restore none"):
        done = called(*words.split(), "--database", path, cwd=tmp_path)
        if not words:
            script(path, "INSERT INTO usage_sessions (session_id) VALUES ('a')")  # something to back up
        assert_harmless(done)
        if words in ("backup", "rollback"):
            assert f"{SHOWN}.db.v3." in done.stdout + done.stderr
    for gone in ("--directory", ODD), ("--database", f"{ODD}/gone.db"), ("--database", f"sqlite://{ODD}"), (ODD,):
        done = called("status", *gone, cwd=tmp_path)
        assert done.returncode in (0, 2, 8)
        assert_harmless(done)
    done = maintain_command("--database", f"{ODD}/gone.db", cwd=tmp_path)
    assert done.returncode == 8
    assert_harmless(done)
    assert SHOWN in done.stderr


def test_names_of_tables_and_migrations_are_escaped(anywhere: Path) -> None:
    folder, place = anywhere, app(anywhere)
    migrate_all(place, folder / "own")
    script(
        place,
        f"""
        CREATE TABLE "{ODD}" (a INTEGER {"" if isinstance(place, str) else "REFERENCES one(id)"});
        INSERT INTO "{ODD}" VALUES (7);
        UPDATE schema_migrations SET name = '{ODD}' WHERE version = 2;
        UPDATE schema_migration_log SET name = '{ODD}' WHERE version = 2;
        """,
    )
    write(
        folder / "own", {"003_plan": sql(f'CREATE TABLE "{ODD}2" (a INT)', "INSERT INTO one (title) VALUES ('\x1b')")}
    )
    for words in ("", "status", "check", "validate", "log", "plan", "rollback", "rehearse"):
        done = called(*words.split(), *own(folder), cwd=folder)
        assert_harmless(done)
        if words in ("status", "log") or (words == "validate" and not differs(place, "foreign keys")):
            assert SHOWN in done.stdout
    data = json.loads(called("status", "--json", *own(folder), cwd=folder).stdout)
    assert ODD in [row["name"] for row in data["applied"]], "JSON has its own way to say it"


@pytest.mark.only_on("sqlite", "foreign keys")
@pytest.mark.parametrize("words", [(), ("--verbose",)])
def test_log_lines_are_escaped(folder: Path, words: tuple[str, ...]) -> None:
    migrate_all(folder / "app.db", folder / "own")
    script(folder / "app.db", f'CREATE TABLE "{ODD}" (a REFERENCES one(id)); INSERT INTO "{ODD}" VALUES (7)')
    write(folder / "own", {"003_logs": table("logs")})
    done = command(*words, *OWN, cwd=folder)
    assert done.returncode == 0
    assert_harmless(done)
    assert f"found before migrating: {SHOWN} has rows that refer to missing rows in one" in done.stderr


def test_errors_and_tracebacks_are_escaped(anywhere: Path) -> None:
    folder = anywhere
    write(folder / "own", {"003_bad": python(f"raise ValueError({ODD!r})")})
    for words in ((), ("--verbose",)):
        done = called(*words, *own(folder), cwd=folder)
        assert done.returncode == 7
        assert not re.search("[\x1b\x07\x9b\r]", done.stderr)
        if not words:
            assert_harmless(done)
        assert f"error: 003_bad.py, line 2: ValueError: {SHOWN}; rolled back" in done.stderr


def test_progress_is_escaped(tmp_path: Path) -> None:
    tell = f"""
import time
from usage_store.cli.progress import Progress
progress = Progress()
progress({ODD!r}, 0, 9)
time.sleep(1.1)
progress({ODD!r}, 1, 9)
"""
    said = on_terminal("-c", tell, cwd=tmp_path).err
    assert f"{SHOWN}: 1 of 9" in said
    assert "\x1b[31m" not in said
