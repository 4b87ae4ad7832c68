"""Options: an error is one line, `--verbose` shows the statements, and passwords are never shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import command, own
from tests.support.migrations import write
from usage_store.engines.interface.paths_and_urls import redact

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("rollback", "one"),
        ("rollback", "1", "2"),
        ("--nonsense",),
        ("--wait", "nan"),
        ("--wait", "-1"),
        ("--wait", "soon"),
        ("--wait", "1e99"),
        ("create",),
    ],
)
def test_invalid_arguments_are_a_usage_error(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = command(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert "error: " in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--database", ""), "the database is an empty string"),
        (("--database", "mysql://host/db"), "stores in SQLite and PostgreSQL"),
        (("--database", "sqlite://relative.db"), "a SQLite URL is sqlite:/// and a path"),
        (("--database", "gone/app.db"), "its folder does not exist"),
        (("--table", "a b"), "'a b': not a name for a history table; allowed: letters, digits and _"),
        (("--directory", "gone"), "gone: no such directory"),
    ],
)
def test_an_invalid_value_is_one_line(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    done = command(*words, cwd=tmp_path)
    assert done.returncode in (2, 8)
    assert re.fullmatch(rf"error: .*{re.escape(said)}.*\n", done.stderr)


URLS = [
    "postgres://me:hunter2@host/db",
    "postgres://me:p@hunter2@host/db",
    "postgres://me:p/hunter2@host/db",
    "postgres://me:p#hunter2@host/db",
    "postgres://me:p?hunter2@host/db",
    "postgres://me:p:hunter2@host/db",
    "postgres://:hunter2@host/db",
    "postgres://host/db?user=me&password=hunter2",
    "postgres://host/db?sslpassword=hunter2&x=1",
    "postgres://host/db?password=p#hunter2",
    "sqlite://me:hunter2@host/app.db",
    "mysql+pool://me:hunter2@host:3306/db",
    "host=host password=hunter2",
    "host=host password = 'hunter2 hunter2' dbname=db",
    "PGPASSWORD=hunter2 pg_dump --host=host",
    "PostgresqlDatabase('db', password='hunter2', host='host')",
]


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("message", ["{}", "{}: no such host", "not '{}' (choose from 'status', 'plan')", "a {} b@c"])
def test_a_password_in_a_message_is_replaced_and_nothing_else(url: str, message: str) -> None:
    shown = redact(message.format(url))
    assert "hunter2" not in shown
    assert "***" in shown
    before, after = message.split("{}")
    assert shown.startswith(before)
    assert shown.endswith(after)
    assert "host" in shown


@pytest.mark.parametrize(
    "text", ["sqlite:///a:b@c.db", "/var/lib/me@host:1.db", "postgres://me@host:5432/db", "a: b@c"]
)
def test_a_text_without_a_password_is_shown_unchanged(text: str) -> None:
    assert redact(text) == text


@pytest.mark.usefixtures("drivers")
@pytest.mark.parametrize("option", ["--database", "--verbose", "environment", "forgotten"])
def test_no_password_is_shown(tmp_path: Path, option: str) -> None:
    url = "postgres://me:hunter2@host/db"
    if option == "environment":
        done = command("status", cwd=tmp_path, USAGE_STORE_DATABASE=url)
    elif option == "forgotten":
        done = command(url, cwd=tmp_path)
    else:
        done = command("status", *(["--verbose"] if option == "--verbose" else []), "--database", url, cwd=tmp_path)
    assert done.returncode == (2 if option == "forgotten" else 8)
    assert "hunter2" not in done.stdout + done.stderr
    assert "@host/db" in done.stderr, "what is left of the URL helps to find it"


def test_verbose_shows_every_statement_and_the_traceback(anywhere: Path) -> None:
    folder = anywhere
    done = command("--verbose", *own(folder), cwd=folder)
    assert done.returncode == 0
    assert "CREATE TABLE two" in done.stderr
    assert "applied 002_two in" in done.stderr
    assert "CREATE TABLE" not in done.stdout
    write(folder / "own", {"003_bad": "def up(migrator, db):\n    raise ValueError('the reason')\n"})
    done = command("--verbose", *own(folder), cwd=folder)
    assert done.returncode == 7
    assert 'own/003_bad.py", line 2, in up' in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: 003_bad.py, line 2: ValueError: the reason")
