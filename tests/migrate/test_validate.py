"""validate() names every difference between a database and the result of its migrations, and writes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.databases import raw, script
from tests.support.migrations import migrate_all, runner_of, sql, table, write
from usage_store import errors

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.databases import Target
    from usage_store.migrate.validate import Report

pytestmark = pytest.mark.quick

BOTH = (
    "CREATE TABLE parent (id INTEGER PRIMARY KEY, title TEXT NOT NULL DEFAULT 'x  y', size INT CHECK (size > 0))",
    "CREATE TABLE child (id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES parent(id) ON DELETE CASCADE)",
    "CREATE INDEX child_parent ON child (parent_id)",
    "CREATE UNIQUE INDEX parent_title ON parent (title) WHERE size IS NULL",
    "CREATE VIEW titles AS SELECT title FROM parent",
)
SCHEMA = {
    "001_tables": sql(
        *BOTH,
        "CREATE TRIGGER parent_added AFTER INSERT ON parent BEGIN INSERT INTO log VALUES (NEW.id); END",
        "CREATE TABLE log (id INTEGER) STRICT",
    ),
    "002_more": sql("ALTER TABLE child ADD COLUMN note TEXT COLLATE NOCASE"),
}
INDEX = "create index child_parent on child ( parent_id"
TRIGGER = "CREATE TRIGGER {} BEFORE UPDATE ON {} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"
ON_A_SERVER = {
    "001_tables": sql(*BOTH, "CREATE TABLE log (id INTEGER)", TRIGGER.format("parent_added", "parent")),
    "002_more": sql('ALTER TABLE child ADD COLUMN note TEXT COLLATE "C"'),
}


@pytest.fixture
def directory(tmp_path: Path, path: Target) -> Path:
    directory = write(tmp_path / "own", ON_A_SERVER if isinstance(path, str) else SCHEMA)
    migrate_all(path, directory)
    return directory


def report(path: Target, directory: Path, *, full: bool = False) -> Report:
    with runner_of(path, directory) as runner:
        return runner.validate(full=full)


def of_engine(path: Target, drift: str) -> str:
    """Give the SQL of a drift in the words of an engine: triggers are made and dropped in two ways."""
    if isinstance(path, str):
        return drift.format(" ON parent")
    theirs = TRIGGER.format("mine", "child")
    return drift.format("").replace(theirs, "CREATE TRIGGER mine AFTER DELETE ON child BEGIN SELECT 1; END")


def rewrite(path: Target, old: str, new: str) -> None:
    """Change the stored text of the schema, which has the same effect as a rebuild by hand."""
    with raw(path) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        changed = "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE instr(sql, ?)"
        assert connection.execute(changed, (old, new, old)).rowcount == 1
        connection.execute("PRAGMA writable_schema = RESET")


def test_what_the_migrations_made_is_valid(path: Target, directory: Path) -> None:
    for full in (False, True):
        found = report(path, directory, full=full)
        assert found.ok
        assert found.problems == ()


@pytest.mark.parametrize(
    ("drift", "line"),
    [
        ("DROP INDEX child_parent", "index child_parent on child is missing"),
        ("DROP TRIGGER parent_added{}", "trigger parent_added on parent is missing"),
        ("DROP VIEW titles", "view titles is missing"),
        ("ALTER TABLE child ADD COLUMN extra INT", "child.extra is not from a migration"),
        ("ALTER TABLE child DROP COLUMN note", "child.note is missing"),
        ("CREATE INDEX mine ON child (note)", "index mine on child is not from a migration"),
        (f"{TRIGGER.format('mine', 'child')};", "trigger mine on child is not from a migration"),
        (
            "DROP INDEX child_parent; CREATE INDEX child_parent ON child (parent_id DESC)",
            f"index child_parent is `{INDEX} desc )`, should be `{INDEX} )`",
        ),
        ("DROP TABLE log", "table log is missing"),
    ],
)
def test_a_changed_object_is_named(path: Target, directory: Path, drift: str, line: str) -> None:
    script(path, of_engine(path, drift))
    (problem,) = report(path, directory).problems
    assert isinstance(problem, errors.SchemaDrift)
    if isinstance(path, str):  # the server's own way to write an index
        line = line.replace("create index", "CREATE INDEX").replace(" on child (", " ON child USING btree (")
        line = line.replace("( ", "(").replace(" )", ")").replace("desc", "DESC")
    assert str(problem) == line
    assert problem.exit_code == 4


@pytest.mark.only_on("sqlite", "stored SQL of a schema")
@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("size > 0", "size > 1", ["parent: CHECK (size > 0) is missing", "parent: CHECK (size > 1) is not from a mig"]),
        (" CHECK (size > 0)", "", ["parent: CHECK (size > 0) is missing"]),
        ("'x  y'", "'x y'", ["parent.title: default is 'x y', should be 'x  y'"]),
        (" DEFAULT 'x  y'", "", ["parent.title: default is none, should be 'x  y'"]),
        ("title TEXT NOT NULL", "title TEXT", ["parent.title: NULL is allowed, should be not allowed"]),
        ("title TEXT", "title BLOB", ["parent.title: type is BLOB, should be TEXT"]),
        (
            " REFERENCES parent(id) ON DELETE CASCADE",
            "",
            ["child: foreign key (parent_id) to parent (id) on delete cascade on update no action is missing"],
        ),
        (
            "ON DELETE CASCADE",
            "ON DELETE SET NULL",
            ["on delete cascade on update no action is missing", "on delete set null on update no action is not from"],
        ),
        (" COLLATE NOCASE", "", ["child.note: collation is none, should be nocase"]),
        (" STRICT", "", ["log: option (strict) is missing"]),
    ],
)
def test_a_changed_rule_is_named(path: Path, directory: Path, old: str, new: str, lines: list[str]) -> None:
    rewrite(path, old, new)
    problems = report(path, directory).problems
    assert all(isinstance(problem, errors.SchemaDrift) for problem in problems)
    assert len(problems) == len(lines)
    for problem, line in zip(problems, lines, strict=True):
        assert line in str(problem)


@pytest.mark.only_on("sqlite", "stored SQL of a schema")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("CREATE TABLE parent (", 'CREATE  TABLE "parent" ( -- a comment, with (parentheses\n'),
        ("title TEXT NOT NULL", "[title] text not  null /* ' */"),
        ("DEFAULT 'x  y'", "DEFAULT ('x  y')"),
        ("CREATE INDEX child_parent ON child (parent_id)", 'CREATE INDEX child_parent ON "child"(`parent_id`)'),
    ],
)
def test_another_spelling_of_the_same_is_no_drift(path: Path, directory: Path, old: str, new: str) -> None:
    rewrite(path, old, new)
    assert report(path, directory).problems == ()


def test_every_difference_is_listed_at_once(path: Target, directory: Path) -> None:
    script(
        path,
        of_engine(path, "DROP INDEX child_parent; DROP TRIGGER parent_added{}; ALTER TABLE child ADD COLUMN extra INT"),
    )
    assert len(report(path, directory).problems) == 3


def check_compared(path: Target, directory: Path) -> None:
    """Check that no difference is found, and that the schema was compared."""
    found = report(path, directory)
    assert found.problems == ()
    assert found.notices == ()
    script(path, "DROP INDEX child_parent")
    assert [str(problem) for problem in report(path, directory).problems] == ["index child_parent on child is missing"]


def trigger_of_the_host(path: Target, name: str) -> str:
    made = f"CREATE TRIGGER {name} AFTER INSERT ON host BEGIN SELECT 1; END"
    return TRIGGER.format(name, "host") if isinstance(path, str) else made


def test_objects_of_the_host_are_left_alone(path: Target, directory: Path) -> None:
    script(
        path,
        "CREATE TABLE host (a INTEGER PRIMARY KEY, b INTEGER REFERENCES parent(id)); CREATE INDEX host_b ON host (b);"
        f"{trigger_of_the_host(path, 'host_t')}; CREATE VIEW host_v AS SELECT * FROM host, parent",
    )
    check_compared(path, directory)


def test_migrations_that_build_on_the_hosts_tables_are_compared_too(path: Target, directory: Path) -> None:
    script(path, "CREATE TABLE host (a INTEGER PRIMARY KEY)")
    write(
        directory,
        {
            "003_host": sql(trigger_of_the_host(path, "ours"), down=None),
            "004_table": table("four"),
        },
    )
    with runner_of(path, directory) as runner:
        runner.migrate()
        script(path, "DROP TRIGGER ours ON host" if isinstance(path, str) else "DROP TRIGGER ours")
        found = runner.validate()
        assert [str(problem) for problem in found.problems] == ["trigger ours on host is missing"]
        assert found.notices == ("the schema was changed by hand since the last migration",)
        script(path, trigger_of_the_host(path, "ours"))
    check_compared(path, directory)


def test_pending_migrations_are_a_notice(path: Target, directory: Path) -> None:
    write(directory, {"003_three": table("three"), "004_four": table("four")})
    found = report(path, directory)
    assert found.ok
    assert found.notices == ("2 pending",)


def test_pending_migrations_are_counted_beside_a_missing_file(path: Target, directory: Path) -> None:
    (directory / "001_tables.py").unlink()
    write(directory, {"003_three": table("three")})
    found = report(path, directory)
    assert [type(problem) for problem in found.problems] == [errors.MissingMigration]
    assert "1 pending" in found.notices


@pytest.mark.only_on("sqlite", "foreign keys")
def test_foreign_key_violations_are_named_and_counted(path: Path, directory: Path) -> None:
    script(path, "INSERT INTO child (parent_id) VALUES (7), (8)")
    (problem,) = report(path, directory).problems
    assert isinstance(problem, errors.ForeignKeyViolations)
    assert str(problem).startswith("child has rows that refer to missing rows in parent (2)")
    assert problem.exit_code == 4
