"""Files written for peewee_migrate have the same effect in this runner as in the Router of peewee_migrate."""

from __future__ import annotations

import importlib.util
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import peewee
import pytest

from tests.support.commands import app, besides_the_file, command, own
from tests.support.databases import dump, dump_without, names, rows, script
from tests.support.databases import own as own_database
from tests.support.engines import folder_with_place
from tests.support.migrations import history, migrate_all, runner_of, table, write
from tests.support.programs import ROOT, run_python
from usage_store import errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.support.databases import Target

needs_peewee_migrate = pytest.mark.skipif(
    importlib.util.find_spec("peewee_migrate") is None, reason="peewee-migrate is not installed"
)


def source(migrate: str, rollback: str | None = None) -> str:
    """Return the text of a peewee_migrate file with these function bodies."""
    parts = ["import peewee as pw"]
    parts += [
        f"def {name}(migrator, database, fake=False, **kwargs):\n    " + body.strip().replace("\n", "\n    ")
        for name, body in (("migrate", migrate), ("rollback", rollback))
        if body is not None
    ]
    return "\n\n".join(parts) + "\n"


def model(name: str, *fields: str) -> str:
    """Return the body of a `migrate` function that creates a table."""
    body = "\n    ".join([*fields, "class Meta:", f'    table_name = "{name}"'])
    return f"@migrator.create_model\nclass {name.title()}(pw.Model):\n    {body}"


USERS = source(model("users", "name = pw.CharField()"), 'migrator.remove_model("users")')
FILES = {
    "001_users": USERS,
    "002_posts": source(
        model(
            "posts", 'user = pw.ForeignKeyField(migrator.orm["users"], on_delete="CASCADE")', "title = pw.TextField()"
        ),
        'migrator.remove_model("posts")',
    ),
    "003_changes": source(
        'migrator.add_fields("users", age=pw.IntegerField(null=True), email=pw.CharField(default="-"))\n'
        'migrator.rename_field("posts", "title", "headline")\n'
        'migrator.change_fields("posts", headline=pw.CharField(max_length=80))\n'
        'migrator.sql("INSERT INTO users (name, email) VALUES (?, ?)", "ada", "ada@example.org")\n'
        'migrator.run(lambda: migrator.orm["users"].create(name="bob", email="bob@example.org"))',
        'migrator.sql("DELETE FROM users")\n'
        'migrator.rename_field("posts", "headline", "title")\n'
        'migrator.change_fields("posts", title=pw.TextField())\n'
        'migrator.remove_fields("users", "age", "email")',
    ).replace("import peewee as pw", 'import peewee as pw\n\ndeletes = ("users",)'),
    "004_rest": source(
        'migrator.add_index("users", "email", unique=True)\nmigrator.rename_table("users", "people")',
        'migrator.rename_table("people", "users")\nmigrator.drop_index("users", "email")',
    ),
}


HISTORIES = ("migratehistory", "schema_migrations", "schema_migration_log", "sqlite_sequence")


@pytest.fixture
def folder(server: str, tmp_path: Path) -> Iterator[Path]:
    with folder_with_place(server, tmp_path) as made:
        yield made


def migrated(folder: Path, files: Mapping[str, str]) -> None:
    place = app(folder)
    if isinstance(place, str):
        files = {name: text.replace("(?, ?)", "(%s, %s)").replace("(?)", "(%s)") for name, text in files.items()}
    migrate_all(place, write(folder / "own", files))


@needs_peewee_migrate
def test_files_make_the_same_as_under_the_router_that_they_were_written_for(
    folder: Path, second_target: Target
) -> None:
    from peewee_migrate import Router

    migrated(folder, FILES)
    with closing(own_database(second_target)) as database:
        Router(database, folder / "own").run()
    assert dump_without(app(folder), HISTORIES) == dump_without(second_target, HISTORIES)
    assert rows(app(folder), "SELECT name, email FROM people") == [
        ("ada", "ada@example.org"),
        ("bob", "bob@example.org"),
    ]


@needs_peewee_migrate
@pytest.mark.parametrize("target", [3, 2, 1, 0])
def test_every_file_rolls_back_and_runs_again(folder: Path, target: int) -> None:
    migrated(folder, FILES)
    with runner_of(app(folder), folder / "own") as runner:
        runner.rollback(target)
        assert runner.validate().problems == ()
        assert len(runner.migrate()) == 4 - target
        assert runner.validate().problems == ()


@needs_peewee_migrate
def test_plan_shows_the_statements_of_the_queue_and_not_of_the_replay(folder: Path) -> None:
    migrated(folder, {"001_users": USERS})
    write(folder / "own", {"002_age": source('migrator.add_fields("users", age=pw.IntegerField(null=True))')})
    with runner_of(app(folder), folder / "own") as runner:
        (planned,) = runner.plan()
    assert planned.statements == ('ALTER TABLE "users" ADD COLUMN "age" INTEGER',)


@needs_peewee_migrate
def test_the_replay_of_earlier_files_runs_nothing(folder: Path) -> None:
    direct = """\
with database.atomic():
    database.execute_sql("INSERT INTO host DEFAULT VALUES")
for row in database.execute_sql("SELECT id FROM host"):
    assert not fake
class Host(pw.Model):
    class Meta:
        table_name = "host"
migrator.create_model(Host)
assert len(Host.select()) == (0 if fake else 1)
Host.create()
"""
    path = app(folder)
    script(path, f"CREATE TABLE host (id {'SERIAL' if isinstance(path, str) else 'INTEGER'} PRIMARY KEY)")
    native = f"from playhouse.migrate import *\n\n{table('native')}"
    migrated(folder, {"001_direct": source(direct), "002_users": USERS, "003_native": native})
    param = "%s" if isinstance(app(folder), str) else "?"
    last = source(f'migrator.sql("INSERT INTO users (name) VALUES ({param})", "ada")')
    write(folder / "own", {"004_last": last})
    # In another process, which has not run the earlier files.
    done = command(*own(folder), cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert rows(path, "SELECT (SELECT count(*) FROM host), (SELECT count(*) FROM users)") == [(2, 1)]


@needs_peewee_migrate
def test_an_earlier_file_that_was_edited_meanwhile_is_replayed_as_it_is(folder: Path) -> None:
    migrated(folder, {"001_users": USERS})
    words = own(folder)
    assert command("rollback", *words, cwd=folder).returncode == 0
    write(folder / "own", {"001_users": USERS.replace("name =", "full_name =")})
    assert command(*words, cwd=folder).returncode == 0
    migrated(folder, {"002_rename": source('migrator.rename_field("users", "full_name", "name")')})
    assert history(app(folder)) == [1, 2]


@needs_peewee_migrate
def test_an_earlier_file_that_cannot_be_replayed_is_named(folder: Path) -> None:
    migrated(folder, {"001_users": source("assert not fake"), "002_native": table("native")})
    write(folder / "own", {"003_last": source("pass")})
    before = dump(app(folder))
    with (
        runner_of(app(folder), folder / "own") as runner,
        pytest.raises(
            errors.MigrationFailed, match=r"^003_last.py: .*001_users.py, line 4, replayed to find its models"
        ),
    ):
        runner.migrate()
    assert dump(app(folder)) == before


@needs_peewee_migrate
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('migrator.sql("INSERT INTO users (name) VALUES (1)")\nmigrator.sql("nonsense")', "statement: nonsense"),
        ('migrator.sql("DROP TABLE users")', "users was dropped with 1 rows"),
        ('migrator.sql("COMMIT")', "COMMIT inside a migration"),
        ('migrator.add_fields("strangers", age=pw.IntegerField())', "002_bad.py, line 4: ValueError: Model strangers"),
    ],
)
def test_a_queue_that_fails_or_trips_a_guard_leaves_nothing(folder: Path, body: str, message: str) -> None:
    migrated(folder, {"001_users": USERS})
    script(app(folder), "INSERT INTO users (name) VALUES ('ada')")
    before = dump(app(folder))
    with pytest.raises(errors.MigrationFailed) as caught:
        migrated(folder, {"002_bad": source(body)})
    assert message in str(caught.value)
    assert dump(app(folder)) == before


@needs_peewee_migrate
def test_without_a_rollback_nothing_is_rolled_back(folder: Path) -> None:
    migrated(folder, {"001_users": source(model("users", "name = pw.CharField()"))})
    with (
        runner_of(app(folder), folder / "own") as runner,
        pytest.raises(errors.Irreversible, match=r"001_users\.py"),
    ):
        runner.rollback()
    assert history(app(folder)) == [1]


@needs_peewee_migrate
def test_a_file_that_is_gone_rolls_back_from_its_stored_source(folder: Path) -> None:
    migrated(folder, {"001_native": table("native"), "002_users": USERS})
    (folder / "own" / "002_users.py").unlink()
    with runner_of(app(folder), folder / "own") as runner:
        runner.rollback(stored_source=True)
    assert history(app(folder)) == [1]
    assert "users" not in names(app(folder))


def test_a_migrate_that_was_only_imported_is_not_a_migration(folder: Path) -> None:
    with pytest.raises(errors.MalformedMigration, match=r"001_typo\.py: defines no up\(migrator, db\)"):
        migrated(folder, {"001_typo": "from playhouse.migrate import migrate\n\ndef upp(migrator, db):\n    pass\n"})


@pytest.mark.only_on("sqlite", "classes of databases")
@pytest.mark.parametrize("text", [USERS, f"from peewee_migrate import Migrator\n{USERS}"])
def test_without_peewee_migrate_its_files_say_how_to_install_it(folder: Path, text: str) -> None:
    write(folder / "own", {"001_users": text})
    # A folder of packages that contains only this package and peewee.
    site = folder / "site"
    site.mkdir()
    peewee_file = Path(peewee.__file__)
    for found in (peewee_file, peewee_file.with_name("playhouse"), ROOT / "usage_store"):
        (site / found.name).symlink_to(found)
    done = run_python("-S", "-m", "usage_store.migrate", *own(folder), cwd=folder, PYTHONPATH=str(site))
    assert done.returncode == 2
    said = besides_the_file(done)
    assert said.startswith("error: 001_users.py")
    assert said.endswith("; install it with `pip install peewee-migrate`\n")
    assert said.count("\n") == 1
    assert names(app(folder)) == set()
