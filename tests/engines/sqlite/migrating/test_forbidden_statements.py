"""Statements that a migration must not run are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.databases import dump, script
from tests.support.migrations import history, migrate_all, python, runner_of, sql, write
from usage_store import errors

if TYPE_CHECKING:
    from pathlib import Path

REFUSED = [
    ("db.commit()", "COMMIT"),
    ("db.rollback()", "ROLLBACK"),
    ("db.begin()", "BEGIN"),
    ("db.connection().commit()", "COMMIT"),
    ("db.connection().rollback()", "ROLLBACK"),
    ('db.execute_sql("COMMIT")', "COMMIT"),
    ('db.execute_sql("/* quietly */ end transaction")', "COMMIT"),
    ('db.execute_sql("ROLLBACK")', "ROLLBACK"),
    ('db.connection().executescript("CREATE TABLE later (a); CREATE TABLE latest (a);")', "COMMIT"),
    ("db.connection().executescript(\"ATTACH 'other.db' AS other\")", "COMMIT"),
    ("db.execute_sql(\"ATTACH 'other.db' AS other\")", "ATTACH"),
    ('db.attach("other.db", "other")', "ATTACH"),
    ('db.execute_sql("DETACH extra")', "DETACH"),
    ('db.execute_sql("PRAGMA foreign_keys = ON")', "PRAGMA foreign_keys"),
    ('db.execute_sql("pragma main.FOREIGN_KEYS(1)")', "PRAGMA"),
    ("db.foreign_keys = 1", "PRAGMA foreign_keys"),
    ('db.execute_sql("PRAGMA writable_schema = ON")', "PRAGMA writable_schema"),
]
ENDINGS = {
    "INSERT OR ROLLBACK": 'db.execute_sql("INSERT OR ROLLBACK INTO host VALUES (1)")',
    "RAISE(ROLLBACK)": 'db.execute_sql("DELETE FROM guarded")',
}
HOST = """
CREATE TABLE host (a PRIMARY KEY); INSERT INTO host VALUES (1);
CREATE TABLE guarded (a); INSERT INTO guarded VALUES (1);
CREATE TRIGGER keep BEFORE DELETE ON guarded BEGIN SELECT RAISE(ROLLBACK, 'kept'); END;
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "app.db"
    script(path, HOST)
    return path


def check(path: Path, body: str, *named: str) -> None:
    """Check that the migration fails with its name and the statement, leaves nothing, and runs after it is mended."""
    directory = write(path.parent / "own", {"001_first": sql("CREATE TABLE first (a)"), "002_bad": python(body)})
    with runner_of(path, directory) as runner:
        runner.migrate(1)
        before = dump(path)
        with pytest.raises(errors.MigrationFailed, match=r"002_bad\.py") as caught:
            runner.migrate()
        for text in (*named, "rolled back; applied before it: nothing"):
            assert text in str(caught.value)
        assert "cannot rollback" not in str(caught.value)
        assert not runner.database.connection().in_transaction
        assert dump(path) == before
        write(directory, {"002_bad": sql("CREATE TABLE good (a)")})
        assert len(runner.migrate()) == 1
    assert history(path) == [1, 2]


@pytest.mark.parametrize(("call", "what"), REFUSED)
def test_it_is_refused_and_named(path: Path, call: str, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    check(path, f'db.execute_sql("CREATE TABLE early (a)")\n{call}', "line 3", what)
    assert not (path.parent / "other.db").exists()


@pytest.mark.parametrize(("call", "what"), REFUSED)
def test_it_is_refused_also_if_the_migration_swallows_the_error(
    path: Path, call: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    swallowed = f"try:\n    {call}\nexcept Exception:\n    pass"
    check(path, f'db.execute_sql("CREATE TABLE early (a)")\n{swallowed}\ndb.execute_sql("CREATE TABLE late (a)")', what)


@pytest.mark.parametrize("call", ENDINGS.values(), ids=ENDINGS.keys())
def test_a_statement_that_ends_the_transaction_fails_the_migration(path: Path, call: str) -> None:
    check(path, f'db.execute_sql("CREATE TABLE early (a)")\n{call}', "line 3: IntegrityError: ")


@pytest.mark.parametrize("after", ["", 'db.execute_sql("CREATE TABLE late (a)")'], ids=["last", "not last"])
@pytest.mark.parametrize("call", ENDINGS.values(), ids=ENDINGS.keys())
def test_a_statement_that_ends_the_transaction_fails_the_migration_also_if_swallowed(
    path: Path, call: str, after: str
) -> None:
    # Each statement after it would be committed at once, and the history row with it.
    swallowed = f"try:\n    {call}\nexcept Exception:\n    pass"
    check(path, f'db.execute_sql("CREATE TABLE early (a)")\n{swallowed}\n{after}', "transaction")


def test_the_real_error_after_a_refused_commit_is_not_masked(path: Path) -> None:
    check(path, 'db.execute_sql("CREATE TABLE early (a)")\nraise ValueError("the reason")', "ValueError: the reason")


@pytest.mark.parametrize(
    "body",
    [
        'with db.atomic():\n    db.execute_sql("CREATE TABLE good (a)")',
        'with db.atomic():\n    with db.atomic():\n        db.execute_sql("CREATE TABLE good (a)")',
        'with db.savepoint():\n    db.execute_sql("CREATE TABLE good (a)")',
        'db.execute_sql("CREATE TABLE good (a)")\nwith db.atomic() as inner:\n    inner.rollback()',
    ],
)
def test_nested_atomic_blocks_are_fine(path: Path, body: str) -> None:
    directory = write(path.parent / "own", {"001_good": python(body)})
    migrate_all(path, directory)
    assert "good" in dump(path)
    assert history(path) == [1]


def test_a_nested_atomic_block_that_fails_and_is_handled_is_undone_alone(path: Path) -> None:
    body = """
        db.execute_sql("CREATE TABLE good (a)")
        try:
            with db.atomic():
                db.execute_sql("CREATE TABLE bad (a)")
                db.execute_sql("no sql")
        except Exception:
            pass
    """
    directory = write(path.parent / "own", {"001_good": python(body)})
    migrate_all(path, directory)
    found = dump(path)
    assert "good" in found
    assert "bad" not in found


@pytest.mark.parametrize("statement", ["PRAGMA foreign_keys", "PRAGMA table_info(host)", "PRAGMA user_version = 7"])
def test_harmless_pragmas_are_allowed(path: Path, statement: str) -> None:
    directory = write(path.parent / "own", {"001_good": sql(statement)})
    with runner_of(path, directory) as runner:
        assert len(runner.migrate()) == 1


def test_afterwards_the_connection_is_free_again(path: Path) -> None:
    directory = write(path.parent / "own", {"001_good": sql("CREATE TABLE good (a)"), "002_bad": sql("COMMIT")})
    with runner_of(path, directory) as runner:
        with pytest.raises(errors.MigrationFailed):
            runner.migrate()
        runner.database.execute_sql("BEGIN")
        runner.database.execute_sql("COMMIT")
        runner.database.execute_sql("ATTACH ':memory:' AS extra")
