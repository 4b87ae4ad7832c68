"""The commands `plan`, `validate --replay`, `adopt`, `backup`, `restore` and `rollback` on a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.commands import called
from tests.support.databases import names, rows, script
from tests.support.migrations import python, sql, write

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

ITEMS = "CREATE TABLE items (id bigserial PRIMARY KEY, owner int REFERENCES owners, m mood)"
FILES = {
    "001_items": sql("CREATE TYPE mood AS ENUM ('a')", ITEMS, down=("DROP TABLE items", "DROP TYPE mood")),
    "002_name": python(
        """
        db.execute_sql("ALTER TABLE items ADD COLUMN name text")
        db.execute_sql("UPDATE items SET name = %s", ("it's 5 %",))
        """,
        "db.execute_sql('ALTER TABLE items DROP COLUMN name')",
    ),
    "003_index": sql(
        "CREATE INDEX CONCURRENTLY items_name ON items (name)", down=("DROP INDEX items_name",), atomic=False
    ),
}
PLANNED = """\
-- up 001_items
CREATE TYPE mood AS ENUM ('a');
CREATE TABLE items (id bigserial PRIMARY KEY, owner int REFERENCES owners, m mood);
-- up 002_name
ALTER TABLE items ADD COLUMN name text;
UPDATE items SET name = 'it''s 5 %';
-- up 003_index
CREATE INDEX CONCURRENTLY items_name ON items (name);
"""


@pytest.fixture
def call(postgresql_url: str, tmp_path: Path) -> Caller:
    write(tmp_path / "own", FILES)
    script(postgresql_url, "CREATE TABLE owners (id int PRIMARY KEY)")
    return Caller(postgresql_url, tmp_path)


class Caller:
    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder

    def __call__(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = called(*words, "--database", self.url, "--directory", "own", cwd=self.folder)
        assert done.returncode == code, (done.stdout, done.stderr)
        return done


def test_a_plan_shows_the_statements_and_changes_nothing(call: Caller) -> None:
    assert call("plan").stdout == PLANNED
    assert names(call.url) == {"owners"}
    call()
    assert "DROP TABLE items" in call("plan", "0").stdout
    assert "items" in names(call.url)


def test_a_plan_of_a_migration_that_ends_the_transaction_fails_and_leaves_nothing(call: Caller) -> None:
    write(call.folder / "own", {"001_items": sql("CREATE TABLE left_behind (n int)", "COMMIT")})
    done = call("plan", code=7)
    assert "001_items.py" in done.stderr
    assert names(call.url) == {"owners"}


def test_a_replay_records_the_schema_and_finds_what_differs(call: Caller) -> None:
    call()
    script(call.url, "DELETE FROM own_migration_log" if "own_migration_log" in names(call.url) else "SELECT 1")
    call("validate", "--replay")
    script(call.url, "ALTER TABLE items DROP COLUMN m")
    assert "problem: items.m is missing\n" in call("validate", "--replay", code=4).stdout


def test_a_rollback_names_the_command_for_a_backup(call: Caller) -> None:
    call()
    script(call.url, "INSERT INTO owners VALUES (1); INSERT INTO items (owner) VALUES (1)")
    done = call("rollback")
    assert "no backup was made of version 3; this makes one: pg_dump -Fc" in done.stderr
    assert "pg_dump" not in call("rollback", "--no-backup").stderr
    assert rows(call.url, "SELECT count(*) FROM items") == [(1,)]


def test_backup_and_restore_name_the_commands_of_the_server(call: Caller) -> None:
    call()
    assert "made by its own program: pg_dump -Fc --schema=" in call("backup", code=2).stderr
    assert "restored by its own program: pg_restore --clean" in call("restore", "x.dump", code=2).stderr
