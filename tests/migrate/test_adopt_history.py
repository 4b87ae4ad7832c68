"""`adopt` records the migrations that playhouse.migrations and peewee_migrate have applied, and runs none of them."""

from __future__ import annotations

import importlib.util
import json
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import pytest
from playhouse.migrations import Runner

from tests.support.commands import called, command
from tests.support.databases import dump, dump_without, is_there, names, opened, own, rows, script
from tests.support.engines import differs
from tests.support.migrations import history, runner_of, table, write
from tests.support.programs import READY, together
from usage_store import errors

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.engines import Place
    from usage_store.migrate import Migration

OURS = {"schema_migrations", "schema_migration_log", "sqlite_sequence"}

PLAYHOUSE_FILES = {
    "0001_users": """\
from peewee import *

def up(migrator, db):
    class User(Model):
        name = CharField()
        class Meta:
            database = db
            table_name = "users"
    db.create_tables([User])

def down(migrator, db):
    db.execute_sql("DROP TABLE users")
""",
    "0002_karma": """\
from peewee import *

def up(migrator, db):
    migrator.migrate(migrator.add_column("users", "karma", IntegerField(default=0)))

def down(migrator, db):
    migrator.migrate(migrator.drop_column("users", "karma"))
""",
}
PEEWEE_MIGRATE_FILES = {
    "001_users": """\
import peewee as pw
from peewee_migrate import Migrator

def migrate(migrator: Migrator, database: pw.Database, *, fake=False):
    @migrator.create_model
    class User(pw.Model):
        name = pw.CharField()
        class Meta:
            table_name = "users"

def rollback(migrator: Migrator, database: pw.Database, *, fake=False):
    migrator.remove_model("users")
""",
    "002_karma": """\
import peewee as pw

def migrate(migrator, database, fake=False, **kwargs):
    migrator.add_fields("users", karma=pw.IntegerField(default=0))

def rollback(migrator, database, fake=False, **kwargs):
    migrator.remove_fields("users", "karma")
""",
}


@dataclass(frozen=True, slots=True)
class Other:
    """A folder with `app.db`, which another migration tool has migrated, and the folder `own` with its files."""

    source: Literal["playhouse", "peewee_migrate"]
    path: Place
    directory: Path
    table: str
    time: str

    def run(self, last: str | None = None) -> None:
        """Apply the files with the other tool itself: all files, or the files up to one."""
        with closing(own(self.path)) as database:
            if self.source == "playhouse":
                Runner(database, self.directory, self.table).up(last)
            else:
                from peewee_migrate import Router

                Router(database, self.directory, migrate_table=self.table).run(last)

    def options(self) -> tuple[str | Path, ...]:
        return ("--database", self.path, "--directory", self.directory, "--table", "schema_migrations")

    def adopt(self) -> tuple[Migration, ...]:
        with runner_of(self.path, self.directory) as runner:
            return runner.adopt(self.source)

    def record(self, name: str, time: str = "2024-07-01 12:00:00") -> None:
        """Add a row to the history table, in the form of the other tool."""
        kept = f"'{time}'"
        if "+" in time and differs(self.path, "types of columns"):
            kept = f"timestamptz {kept} AT TIME ZONE 'UTC'"  # what a session in UTC stores
        script(self.path, f"INSERT INTO {self.table} (name, {self.time}) VALUES ('{name}', {kept})")


def of_playhouse(path: Place) -> Other:
    directory = write(path.parent / "own", PLAYHOUSE_FILES)
    return Other("playhouse", path, directory, "schema_migration", "applied")


def of_peewee_migrate(path: Place) -> Other:
    if importlib.util.find_spec("peewee_migrate") is None:
        pytest.skip("peewee-migrate is not installed")
    directory = write(path.parent / "own", PEEWEE_MIGRATE_FILES)
    return Other("peewee_migrate", path, directory, "migratehistory", "migrated_at")


@pytest.fixture(params=[of_playhouse, of_peewee_migrate], ids=["playhouse", "peewee_migrate"])
def other(request: pytest.FixtureRequest, path: Place) -> Other:
    made: Other = request.param(path)
    return made


@pytest.fixture
def playhouse(path: Place) -> Other:
    return of_playhouse(path)


def without_ours(path: Place) -> dict[str, list[Any]]:
    return dump_without(path, OURS)


def test_an_adopted_database_is_clean_and_nothing_runs_again(other: Other) -> None:
    other.run()
    script(other.path, "INSERT INTO users (name, karma) VALUES ('ada', 7)")
    before = without_ours(other.path)
    adopted = other.adopt()
    assert without_ours(other.path) == before
    assert [str(migration) for migration in adopted] == sorted(path.stem for path in other.directory.glob("*.py"))
    with runner_of(other.path, other.directory) as runner:
        status = runner.status()
        assert (status.current_version, status.pending_count) == (2, 0)
        assert (status.problems, status.notices) == ((), ())
        assert status.applied_migrations == adopted
        assert runner.validate().problems == ()
        assert runner.migrate() == ()
    assert without_ours(other.path) == before


def test_the_log_keeps_the_source_of_each_adopted_file_as_a_stamp(other: Other) -> None:
    other.run()
    adopted = other.adopt()
    with runner_of(other.path, other.directory) as runner:
        entries = runner.log.entries()
    assert [(entry.version, entry.action, entry.source) for entry in entries] == [
        (migration.version, "stamp", migration.read().decode()) for migration in adopted
    ]


def test_the_times_are_those_of_the_other_history(other: Other) -> None:
    other.run()
    kept = rows(other.path, f"SELECT CAST({other.time} AS TEXT) FROM {other.table} ORDER BY id")
    written = [datetime.fromisoformat(time) for (time,) in kept]
    assert [migration.applied_at for migration in other.adopt()] == [int(time.timestamp()) for time in written]
    assert abs(written[0].timestamp() - datetime.now(UTC).timestamp()) < 600


@pytest.mark.quick
def test_a_new_migration_applies_and_adopted_ones_roll_back(other: Other) -> None:
    other.run()
    other.adopt()
    write(other.directory, {"0003_posts": table("posts")})
    with runner_of(other.path, other.directory) as runner:
        assert [str(step.migration) for step in runner.migrate()] == ["0003_posts"]
        assert runner.validate().problems == ()
        runner.rollback(1)
        assert [column.name for column in runner.database.get_columns("users")] == ["id", "name"]
        runner.rollback(0)
        assert set(runner.database.get_tables()) - OURS == {other.table}
        assert len(runner.migrate()) == 3
        assert runner.validate().problems == ()


def test_what_the_other_runner_has_not_applied_stays_pending(other: Other) -> None:
    first, second = sorted(path.stem for path in other.directory.glob("*.py"))
    other.run(first)
    assert [str(migration) for migration in other.adopt()] == [first]
    with runner_of(other.path, other.directory) as runner:
        assert [str(step.migration) for step in runner.migrate()] == [second]
        assert [column.name for column in runner.database.get_columns("users")] == ["id", "name", "karma"]


def test_a_name_that_was_recorded_twice_counts_once_at_its_first_time(path: Place) -> None:
    other = of_peewee_migrate(path)
    other.run()
    script(other.path, f"DELETE FROM {other.table}")
    for time in ("2024-07-01 12:00:00", "2024-07-01 14:30:00.250000+02:00", "2025-01-01 00:00:00"):
        other.record("001_users", time)
    other.record("002_karma", "2024-07-01 14:30:00.250000+02:00")
    # peewee_migrate before 2.0 wrote utcnow(); since 2.0 it writes the zone.
    expected = [datetime(2024, 7, 1, 12, tzinfo=UTC), datetime(2024, 7, 1, 12, 30, tzinfo=UTC)]
    assert [migration.applied_at for migration in other.adopt()] == [int(time.timestamp()) for time in expected]
    assert rows(other.path, f"SELECT count(*) FROM {other.table}") == [(4,)]


def test_times_of_playhouse_are_local(playhouse: Other, tmp_path: Path) -> None:
    other = playhouse
    other.run()
    script(other.path, f"UPDATE {other.table} SET applied = '2024-07-01 12:00:00.5'")
    done = command("adopt", "playhouse", *other.options(), cwd=tmp_path, TZ="EST5EDT,M3.2.0,M11.1.0")
    assert done.stdout.splitlines()[0] == "adopted 0001_users, applied 2024-07-01 16:00:00 UTC"
    assert rows(other.path, "SELECT DISTINCT applied_at FROM schema_migrations") == [(1719849600,)]


def refused(other: Other, error: type[errors.UsageStoreError], *messages: str) -> None:
    """Check that adopt fails with one line that contains all these texts, and changes nothing."""
    before = dump(other.path)
    with pytest.raises(error) as caught:
        other.adopt()
    for message in messages:
        assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert dump(other.path) == before


def test_a_row_without_a_file_is_refused(other: Other) -> None:
    other.run()
    other.record("0009_gone")
    refused(
        other, errors.MissingMigration, f"{other.table} records 0009_gone", "no 0009_gone.py; restore", "--directory"
    )


def test_a_pending_file_below_an_applied_one_is_refused(other: Other) -> None:
    other.run()
    write(other.directory, {"0004_late": table("late"), "0005_last": table("last")})
    other.record("0005_last")
    refused(other, errors.LateMigration, "0004_late.py would run out of order", "renumber it above 5")


def test_a_history_of_ours_that_is_not_empty_is_refused(other: Other) -> None:
    other.run()
    other.adopt()
    refused(other, errors.HistoryError, "schema_migrations already records 001_users", "with --table")


def test_two_files_of_one_number_are_refused_until_one_is_renamed_in_both_places(playhouse: Other) -> None:
    other = playhouse
    write(other.directory, {"0002_posts": table("posts")})
    other.run()
    refused(other, errors.DuplicateVersion, "0002_karma.py and 0002_posts.py both have version 2; renumber one")
    (other.directory / "0002_posts.py").rename(other.directory / "0003_posts.py")
    refused(other, errors.MissingMigration, "if the file was renamed, correct the name in schema_migration")
    script(other.path, f"UPDATE {other.table} SET name = '0003_posts' WHERE name = '0002_posts'")
    assert [migration.version for migration in other.adopt()] == [1, 2, 3]


def test_a_table_that_is_missing_or_no_history_is_refused(other: Other) -> None:
    with opened(other.path):
        pass
    refused(other, errors.ConfigurationError, f"{other.table}: no such table", "--from-table")
    script(other.path, f"CREATE TABLE {other.table} (id INTEGER PRIMARY KEY, name TEXT)")
    refused(other, errors.HistoryError, f"it has the columns id, name, and needs id, name, {other.time};")


@pytest.mark.parametrize("time", ["soon", ""])
@pytest.mark.only_on("sqlite", "types of columns")
def test_a_time_that_is_none_is_refused(playhouse: Other, time: str) -> None:
    other = playhouse
    other.run()
    script(other.path, f"UPDATE {other.table} SET applied = '{time}' WHERE name = '0002_karma'")
    refused(other, errors.HistoryError, f"of 0002_karma, applied is '{time}', which is not a time; correct that row")


def test_a_source_that_nobody_knows_is_refused(path: Place) -> None:
    with runner_of(path, write(path.parent / "own", {"001_one": table("one")})) as runner:
        with pytest.raises(errors.ConfigurationError, match=r"'alembic'.*allowed: playhouse, peewee_migrate"):
            runner.adopt("alembic")  # type: ignore[arg-type]
        with pytest.raises(errors.TransactionOpen), runner.database.atomic():
            runner.adopt("playhouse")


def test_an_error_half_way_leaves_nothing(other: Other) -> None:
    other.run()
    second = max(other.directory.glob("*.py"))
    second.unlink()
    second.symlink_to("nowhere")
    refused(other, errors.LoadError, f"{second.name}: No such file or directory")
    assert not OURS & names(other.path)


def test_of_several_at_once_one_adopts_and_the_others_are_told(playhouse: Other, tmp_path: Path) -> None:
    other = playhouse
    other.run()
    code = f"import sys\nfrom usage_store.cli.main import main\n{READY}sys.exit(main(['migrate', *sys.argv[1:]]))"
    ended = together(4, code, "adopt", "playhouse", *other.options(), cwd=tmp_path)
    assert sorted(end.code for end in ended) == [0, 3, 3, 3]
    assert history(other.path) == [1, 2]


def test_the_command_says_what_it_adopted_and_from_which_table(playhouse: Other, tmp_path: Path) -> None:
    other = playhouse
    other.run()
    script(other.path, f'ALTER TABLE {other.table} RENAME TO "their ""own"""')
    words = ("adopt", "playhouse", *other.options())
    failed = called(*words, cwd=tmp_path)
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr.startswith("error: schema_migration: no such table")
    done = called(*words, "--from-table", 'their "own"', "--json", cwd=tmp_path)
    assert [migration["name"] for migration in json.loads(done.stdout)] == ["users", "karma"]
    assert called("check", *words[2:], cwd=tmp_path).returncode == 0


def test_the_command_says_so_when_there_is_nothing_to_adopt(playhouse: Other, tmp_path: Path) -> None:
    other = playhouse
    words = ("adopt", "playhouse", *other.options())
    assert called(*words, cwd=tmp_path).returncode == (2 if differs(other.path, "files") else 8)
    assert not is_there(other.path)
    other.run()
    script(other.path, f"DELETE FROM {other.table}")
    before = dump(other.path)
    done = called(*words, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "nothing to adopt\n", "")
    assert dump(other.path) == before
