"""The schema is compared with the schema that the log has recorded. No migration is loaded for that."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.brought_schemas import PATH, PATH_OF_POSTGRESQL, content, content_of_postgresql
from tests.support.databases import opened, raw, rows, script
from tests.support.migrations import migrate_all, python, runner_of, sql, table, write
from tests.support.postgresql_servers import for_drivers
from tests.support.programs import ROOT, run_python
from usage_store import errors, init_database, link_events
from usage_store.migrate import MigrationRunner

if TYPE_CHECKING:
    from pathlib import Path

    from usage_store.migrate.validate import Report

pytestmark = pytest.mark.quick

LOG = "schema_migration_log"
MADE_BY_VERSION_2 = ROOT / "tests" / "files" / "version2.sqlite"
BY_HAND = "the schema was changed by hand since the last migration"


def report(path: Path, directory: Path, **options: bool) -> Report:
    with runner_of(path, directory) as runner:
        return runner.validate(**options)


def problems(path: Path, directory: Path | None = None, **options: bool) -> list[str]:
    with opened(path) as database:
        return [str(problem) for problem in MigrationRunner(database, directory).validate(**options).problems]


def forget(path: Path, versions: str = "version") -> None:
    """Change the log to that of an older package, which recorded no DDL."""
    script(path, f"UPDATE {LOG} SET ddl = NULL WHERE version IN ({versions})")


def test_no_command_that_reads_loads_a_migration(tmp_path: Path, path: Path, directory: Path) -> None:
    touch = f"import pathlib\n\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n\n\n"
    telling = f"{touch}def notices(db):\n    yield 'asked'\n\n\n"
    write(directory, {"002_two": telling + table("two")})
    migrate_all(path, directory)
    (tmp_path / "ran").unlink()
    script(path, "CREATE INDEX by_hand ON two (title)")
    words = ("--database", path, "--directory", directory, "--table", "schema_migrations")
    codes = {"status": 0, "check": 4, "log": 0, "validate": 4}
    for command, code in codes.items():
        done = run_python("-m", "usage_store.migrate", *map(str, words), command, cwd=tmp_path)
        assert done.returncode == code, done.stderr
        assert "asked" not in done.stdout
        assert not (tmp_path / "ran").exists(), command
    for command in ("status", "validate"):
        done = run_python("-m", "usage_store.migrate", *map(str, words), command, "--notices", cwd=tmp_path)
        assert "notice: asked" in done.stdout
        assert (tmp_path / "ran").exists()


def test_what_migrations_change_and_undo_is_what_is_expected(path: Path, directory: Path) -> None:
    more = {
        "004_more": sql(
            "ALTER TABLE one ADD COLUMN size INT",
            "CREATE INDEX one_size ON one (size)",
            "DROP TABLE two",
            down=["DROP INDEX one_size", "ALTER TABLE one DROP COLUMN size", "CREATE TABLE two (back TEXT)"],
        )
    }
    write(directory, more)
    with runner_of(path, directory) as runner:
        runner.migrate()
        assert runner.validate().problems == ()
        script(path, "DROP INDEX one_size; CREATE TABLE two (a INTEGER)")
        assert [str(each) for each in runner.validate().problems] == ["index one_size on one is missing"]
        script(path, "CREATE INDEX one_size ON one (size); DROP TABLE two")
        runner.rollback()
        assert runner.validate().problems == ()
        script(path, "ALTER TABLE two ADD COLUMN hand TEXT")
        assert [str(each) for each in runner.validate().problems] == ["two.hand is not from a migration"]


def test_what_a_migration_does_with_the_rows_makes_no_difference(path: Path, directory: Path) -> None:
    write(directory, {"004_rows": python("db.execute_sql(f'CREATE TABLE made_{len(db.get_tables())} (a TEXT)')")})
    migrate_all(path, directory)
    found = report(path, directory)
    assert (found.problems, found.notices) == ((), ())


def test_the_records_of_an_old_log_are_named_as_not_compared(path: Path, directory: Path) -> None:
    migrate_all(path, directory)
    script(path, "CREATE TABLE host (a INTEGER)")
    script(path, f"ALTER TABLE {LOG} DROP COLUMN ddl")
    script(path, "ALTER TABLE two ADD COLUMN by_hand TEXT")
    found = report(path, directory)
    assert found.problems == ()
    (notice,) = found.notices
    assert notice.startswith(
        "not compared: table one, table three, table two; the log has no schema for 001_one to 003_three"
    )
    assert "validate --replay" in notice


def test_what_plain_sql_made_before_the_record_is_still_asked_for(path: Path, directory: Path) -> None:
    gone = sql("CREATE TABLE gone (a INTEGER)", down=["DROP TABLE gone"])
    write(
        directory, {"004_gone": gone, "005_drop": sql("DROP TABLE gone"), "006_index": sql("CREATE INDEX i ON one(id)")}
    )
    migrate_all(path, directory)
    forget(path)
    assert problems(path, directory) == []
    script(path, "DROP TABLE two; DROP INDEX i")
    found = report(path, directory)
    assert [str(problem) for problem in found.problems] == ["table two is missing", "index i is missing"]
    assert BY_HAND in found.notices


def test_after_a_log_without_ddl_new_migrations_are_compared(path: Path, directory: Path) -> None:
    migrate_all(path, directory)
    script(path, f"ALTER TABLE {LOG} DROP COLUMN ddl")
    write(directory, {"004_four": sql("CREATE TABLE four (a INTEGER)", "ALTER TABLE one ADD COLUMN more TEXT")})
    migrate_all(path, directory)
    script(path, "ALTER TABLE one DROP COLUMN more; ALTER TABLE four ADD COLUMN b TEXT")
    found = report(path, directory)
    assert [str(problem) for problem in found.problems] == ["one.more is missing", "four.b is not from a migration"]
    assert "not compared: table three, table two; the log has no schema for 001_one to 003_three" in found.notices[0]


def test_a_replay_compares_with_what_the_migrations_make_and_records_it(path: Path, directory: Path) -> None:
    migrate_all(path, directory)
    forget(path)
    script(path, "ALTER TABLE two ADD COLUMN by_hand TEXT")
    assert problems(path, directory) == []
    assert problems(path, directory, replay=True) == ["two.by_hand is not from a migration"]
    assert rows(path, f"SELECT action, version FROM {LOG} ORDER BY id DESC LIMIT 1") == [("stamp", 3)]
    found = report(path, directory)
    assert [str(problem) for problem in found.problems] == ["two.by_hand is not from a migration"]
    assert not any("not compared" in notice for notice in found.notices)
    before = rows(path, f"SELECT count(*) FROM {LOG}")
    assert problems(path, directory, replay=True) == ["two.by_hand is not from a migration"]
    assert rows(path, f"SELECT count(*) FROM {LOG}") == before


def test_a_replay_is_recorded_without_taking_an_edited_file_for_the_applied_one(path: Path, directory: Path) -> None:
    migrate_all(path, directory)
    forget(path)
    write(directory, {"003_three": table("three") + "OTHER = 1\n"})
    with runner_of(path, directory) as runner:
        for replay in (True, False):
            edited = [
                each for each in runner.validate(replay=replay).problems if "003_three.py was edited" in str(each)
            ]
            assert len(edited) == 1


def test_a_replay_that_fails_on_empty_tables_is_said_and_records_nothing(path: Path, directory: Path) -> None:
    script(path, "CREATE TABLE host (a INTEGER); INSERT INTO host VALUES (1)")
    write(directory, {"004_rows": python("(n,) = db.execute_sql('SELECT a FROM host').fetchone()")})
    migrate_all(path, directory)
    before = rows(path, f"SELECT count(*) FROM {LOG}")
    found = report(path, directory, replay=True)
    assert found.problems == ()
    assert any("the schema was not compared: on empty tables, 004_rows.py" in line for line in found.notices)
    assert rows(path, f"SELECT count(*) FROM {LOG}") == before


def test_stamping_and_adopting_record_nothing(path: Path, directory: Path) -> None:
    script(path, "CREATE TABLE one (another TEXT); CREATE TABLE two (shape TEXT); CREATE TABLE three (than TEXT)")
    with runner_of(path, directory) as runner:
        runner.stamp(3)
        found = runner.validate()
    assert found.ok
    assert "not compared: table one, table three, table two" in found.notices[0]
    assert rows(path, f"SELECT DISTINCT ddl FROM {LOG}") == [(None,)]


def test_a_row_taken_out_of_the_history_by_hand_takes_its_objects_along(path: Path, directory: Path) -> None:
    migrate_all(path, directory)
    script(path, "DELETE FROM schema_migrations WHERE version = 3; DROP TABLE three")
    assert problems(path, directory) == []


def test_what_an_older_package_did_after_recorded_runs_is_not_guessed(path: Path, directory: Path) -> None:
    write(directory, {"004_alter": sql("ALTER TABLE one ADD COLUMN size TEXT")})
    migrate_all(path, directory)
    forget(path, "4")
    found = report(path, directory)
    assert found.ok
    assert "not compared: table one; the log has no schema for 004_alter (1)" in found.notices[0]
    script(path, "DROP TABLE two")
    assert problems(path, directory) == ["table two is missing"]


def test_indexes_and_triggers_that_a_migration_calls_optional_may_be_missing(path: Path, directory: Path) -> None:
    write(directory, {"004_i": "optional = ('i',)\n" + sql("CREATE INDEX i ON one (title)")})
    migrate_all(path, directory)
    script(path, "DROP INDEX i; CREATE INDEX i ON one (id)")
    assert len(problems(path, directory)) == 1
    script(path, "DROP INDEX i")
    assert problems(path, directory) == []


@pytest.mark.parametrize(
    "planted",
    [
        "CREATE TABLE one AS SELECT evil() AS a",
        "ATTACH '{other}' AS two",
        "CREATE TABLE one(a); SELECT evil()",
        "PRAGMA writable_schema = ON",
    ],
)
def test_nothing_that_stands_in_a_record_is_run(path: Path, directory: Path, tmp_path: Path, planted: str) -> None:
    migrate_all(path, directory)
    if isinstance(path, str):
        script(path, "CREATE FUNCTION evil() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$")
    ddl = json.dumps({"made": [["table", "one", "one", planted.format(other=tmp_path / "other.db")]]})
    with raw(path) as connection:
        connection.execute(f"UPDATE {LOG} SET ddl = ? WHERE version = 1", (ddl,))
    called: list[int] = []
    with runner_of(path, directory) as runner:
        if not isinstance(path, str):
            runner.database.register_function(lambda: called.append(1), "evil", 0)
        found = runner.validate()
    assert called == []
    assert not (tmp_path / "other.db").exists()
    assert found.ok
    assert any(notice.startswith("one was not compared: ") for notice in found.notices)


@pytest.mark.parametrize(
    "damage", ["", "[]", "{", '{"made": 1}', '{"made": [["table"]]}', '{"gone": [1]}', "[" * 99_999]
)
def test_a_record_that_no_runner_wrote_is_named(path: Path, directory: Path, damage: object) -> None:
    migrate_all(path, directory)
    with raw(path) as connection:
        connection.execute(f"UPDATE {LOG} SET ddl = ? WHERE version = 2", (damage,))
    with runner_of(path, directory) as runner, pytest.raises(errors.HistoryError, match="line with id 2 has DDL"):
        runner.validate()


def test_the_drift_of_usage_tables_from_before_the_record_is_seen_at_once(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    shutil.copy(MADE_BY_VERSION_2, path)
    assert problems(path) == []
    script(path, "ALTER TABLE usage_config ADD COLUMN extra TEXT")
    assert problems(path) == ["usage_config.extra is not from a migration"]
    script(path, "DROP TRIGGER usage_events_deleted")
    assert "trigger usage_events_deleted on events is missing" in problems(path)
    with opened(path) as database:
        MigrationRunner(database).migrate()
    assert problems(path) == [
        "usage_config.extra is not from a migration",
        "trigger usage_events_deleted on events is missing",
    ]


OTHER_TRIGGER = """
DROP TRIGGER usage_events_moved;
CREATE TRIGGER usage_events_moved AFTER UPDATE ON events BEGIN SELECT 1; END;
"""
OTHER_TRIGGER_ON_A_SERVER = """
DROP TRIGGER usage_events_moved ON events;
CREATE TRIGGER usage_events_moved AFTER UPDATE ON events EXECUTE FUNCTION usage_events_deleted();
"""


def test_linking_events_records_the_triggers(path: Path) -> None:
    init_database(path)
    script(path, "CREATE TABLE events (id INTEGER PRIMARY KEY, session_id TEXT)")
    link_events()
    with opened(path) as database:
        assert MigrationRunner(database).log.is_current()
    assert problems(path) == []
    script(path, OTHER_TRIGGER_ON_A_SERVER if isinstance(path, str) else OTHER_TRIGGER)
    (problem,) = problems(path)
    assert problem.lower().startswith(
        f"trigger usage_events_moved{' on events' if isinstance(path, str) else ''} is `create trigger "
        "usage_events_moved after update on events"
    )
    script(path, "DROP TABLE events")
    assert problems(path) == []


def test_the_schemas_that_come_with_the_migrations_are_what_these_make() -> None:
    assert json.loads(PATH.read_text(encoding="utf-8")) == content()


def test_the_schemas_for_postgresql_are_what_the_migrations_make_on_each_server(any_postgresql_url: str) -> None:
    assert json.loads(PATH_OF_POSTGRESQL.read_text(encoding="utf-8")) == content_of_postgresql(any_postgresql_url)


def test_what_was_on_a_table_before_a_migration_changed_it_is_left_alone(path: Path, directory: Path) -> None:
    script(path, "CREATE TABLE host (a INTEGER); CREATE INDEX host_a ON host (a)")
    write(
        directory, {"004_host": sql("ALTER TABLE host ADD COLUMN ours TEXT", "CREATE INDEX host_ours ON host (ours)")}
    )
    migrate_all(path, directory)
    assert problems(path, directory) == []
    script(path, "CREATE INDEX another ON host (a); DROP INDEX host_ours")
    assert problems(path, directory) == ["index host_ours on host is missing"]


def test_indexes_from_before_the_record_are_not_taken_for_somebody_elses(path: Path, directory: Path) -> None:
    write(directory, {"004_index": sql("CREATE INDEX one_title ON one (title)")})
    migrate_all(path, directory)
    forget(path)
    write(directory, {"005_more": sql("ALTER TABLE one ADD COLUMN more TEXT")})
    migrate_all(path, directory)
    assert problems(path, directory) == []


def test_what_a_migration_outside_a_transaction_makes_is_recorded_though_others_write_meanwhile(
    path: Path, directory: Path
) -> None:
    migrate_all(path, directory)
    driver, database = ("psycopg", for_drivers(path)) if isinstance(path, str) else ("sqlite3", str(path))
    other = f"import {driver}; c = {driver}.connect({database!r}); c.execute(\"INSERT INTO one VALUES (1, 'x')\"); "
    index = "db.execute_sql('CREATE INDEX one_title ON one (title)')"
    write(directory, {"004_index": python(f"{other}c.commit(); c.close()\n{index}", atomic=False), "005_e": table("e")})
    migrate_all(path, directory)
    assert problems(path, directory) == []
    script(path, "DROP INDEX one_title; DROP TABLE e")
    assert problems(path, directory) == ["table e is missing", "index one_title on one is missing"]


def test_what_recorded_migrations_drop_or_rename_is_not_asked_for_though_older_ones_made_it(
    path: Path, directory: Path
) -> None:
    migrate_all(path, directory)
    script(path, f"ALTER TABLE {LOG} DROP COLUMN ddl")
    changes = sql("DROP TABLE two", "ALTER TABLE three RENAME TO drei", down=["ALTER TABLE drei RENAME TO three"])
    write(directory, {"004_gone": changes})
    migrate_all(path, directory)
    assert problems(path, directory) == []
    script(path, "DROP TABLE one")
    assert problems(path, directory) == ["table one is missing"]
    with runner_of(path, directory) as runner:
        runner.rollback()
    script(path, "DROP TABLE three")
    assert problems(path, directory) == ["table three is missing", "table one is missing"]


@pytest.mark.parametrize(
    "change",
    [
        "db.execute_sql('DROP TABLE two')",
        "db.execute_sql(f'DROP TABLE {\"tw\"}o')\nfrom peewee import Table\n# two",
        "from peewee import Model\nclass Two(Model):\n    pass\nTwo.bind(db)\ndb.drop_tables([Two])",
        "from playhouse.migrate import migrate\nmigrate(migrator.rename_table('two', 'zwei'))",
    ],
)
def test_what_was_dropped_before_the_record_is_not_asked_for(path: Path, directory: Path, change: str) -> None:
    write(directory, {"004_change": "deletes = ('two',)\n" + python(change)})
    migrate_all(path, directory)
    forget(path)
    assert problems(path, directory) == []


def test_a_notice_that_the_package_and_its_migrations_both_have_is_given_once(path: Path) -> None:
    init_database(path)
    with opened(path) as database:
        (notice,) = MigrationRunner(database).status(notices=True).notices
    assert notice == "no events table with a session_id column: register sessions with register_session()"
