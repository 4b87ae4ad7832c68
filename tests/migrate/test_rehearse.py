"""A rehearsal reports what the pending migrations would do, up and down, and does not change the database."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import peewee
import pytest

from tests.support.databases import files_of, fill, raw, rows, script
from tests.support.disks import forked_with_small_files, make_huge
from tests.support.migrations import history, python, runner_of, sql, write
from tests.support.programs import TIMEOUT
from usage_store.engines.interface.schema_differences import TableRows
from usage_store.engines.sqlite.connection.open_file import open_database
from usage_store.engines.sqlite.file.free_disk_space import file_of
from usage_store.errors import ConfigurationError, MissingMigration, NotEnoughDisk
from usage_store.migrate import MigrationRunner
from usage_store.migrate.rehearse import Rehearsal, rehearse
from usage_store.testing import seed_usage

pytestmark = pytest.mark.only_on("sqlite", "rehearsals")

BASE = """
CREATE TABLE "Odd Name" ("A b" TEXT, c BLOB, d REAL, PRIMARY KEY ("A b")) WITHOUT ROWID;
INSERT INTO "Odd Name" VALUES ('x', x'78', 1.5), (CAST(x'ff' AS TEXT), 'x', NULL);
CREATE TABLE item (id INTEGER PRIMARY KEY AUTOINCREMENT, body, twice AS (body || body));
INSERT INTO item (body) VALUES (1), ('1'), (1.0), (x'31'), (NULL);
CREATE INDEX item_body ON item (body);
CREATE VIEW items AS SELECT * FROM item;
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Create a database with rows of every type."""
    script(tmp_path / "app.db", BASE)
    return tmp_path / "app.db"


def _rehearse(database: Path, files: dict[str, str], target: int | None = None) -> Rehearsal:
    directory = write(database.parent / "migrations", files)
    with runner_of(database, directory) as runner:
        return rehearse(runner, target)


def test_a_rehearsal_only_reads_the_database_and_leaves_no_file(database: Path) -> None:
    files = {"001_drop": sql("DROP VIEW items", "DROP TABLE item", down=["CREATE TABLE item (id)"])}
    directory = write(database.parent / "migrations", files)
    with runner_of(database, directory) as runner:
        runner.status()
        before = files_of(database.parent)
        told: list[tuple[int, int]] = []
        result = rehearse(runner, on_progress=lambda done, pages: told.append((done, pages)))
        assert files_of(database.parent) == before
        assert runner.status().current_version == 0
    assert not result.ok
    assert told[-1][0] == told[-1][1] > 1


def test_a_migration_reports_its_time_its_rows_and_what_it_writes(database: Path) -> None:
    up = ("CREATE TABLE made (x)", "INSERT INTO made VALUES (1), (2)", "DELETE FROM item WHERE id = 1")
    more = ("UPDATE item SET body = 7", "DROP TABLE made", "CREATE TABLE blob AS SELECT zeroblob(100000) AS b")
    first_file = "deletes = ['item']\n" + sql(*up, down=None)
    second_file = "deletes = ['made']\n" + sql(*more, down=None)
    result = _rehearse(database, {"001_first": first_file, "002_second": second_file})
    first, second = (each.up for each in result.migrations)
    assert first.tables == (TableRows("item", 5, 4), TableRows("made", None, 2))
    assert second.tables == (TableRows("blob", None, 1), TableRows("item", 4, 4), TableRows("made", 2, None))
    assert first.rows_written == 3 + 2  # one row of the history table and one of the log
    assert 0 < first.seconds < TIMEOUT
    assert 100_000 < second.bytes_written < 200_000 < second.disk_needed < 400_000
    assert first.bytes_written < 100_000
    assert result.database_bytes == database.stat().st_size
    assert result.ok


def test_the_usage_tables_come_and_go_without_a_trace_on_a_host_with_events(tmp_path: Path) -> None:
    script(
        tmp_path / "host.db",
        "CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL);"
        "INSERT INTO events (session_id) VALUES ('a'), ('a'), ('b')",
    )
    with closing(open_database(tmp_path / "host.db")) as host:
        tables, compact, follow = rehearse(MigrationRunner(host)).migrations
    assert (tables.restored, compact.restored, follow.restored) == (True, True, True)
    assert tables.differences == compact.differences == follow.differences == ()
    assert TableRows("usage_sessions", None, 2) in tables.up.tables


def test_data_that_a_migration_moves_there_and_back_is_restored_exactly(usage_database: peewee.Database) -> None:
    seed_usage(usage_database, snapshots=300)
    assert isinstance(usage_database, peewee.SqliteDatabase)
    with raw(Path(usage_database.database)) as other:
        other.execute("CREATE TABLE host_notes (note TEXT)")
        other.execute("INSERT INTO host_notes VALUES ('mine')")
    here = write(
        file_of(usage_database).parent / "more",
        {
            "001_split": sql(
                "CREATE TABLE plans AS SELECT id, plan FROM usage_config",
                "UPDATE usage_snapshots SET timestamp = timestamp + 5",
                down=["UPDATE usage_snapshots SET timestamp = timestamp - 5", "DROP TABLE plans"],
            )
        },
    )
    (done,) = rehearse(MigrationRunner(usage_database, here, "more_migrations")).migrations
    assert (done.restored, done.differences) == (True, ())
    assert done.up.tables == (TableRows("plans", None, 1), TableRows("usage_snapshots", 300, 300))


@pytest.mark.parametrize(
    ("down", "line"),
    [
        ("CREATE TABLE left_over (x)", "table left_over is left behind"),
        ("CREATE VIEW left_over AS SELECT 1", "view left_over is left behind"),
        ("CREATE INDEX left_over ON item (id)", "index left_over on item is left behind"),
        ("ALTER TABLE item ADD COLUMN left_over", "item.left_over is left behind"),
        ("DROP VIEW items", "view items is missing"),
        ("DROP INDEX item_body", "index item_body on item is missing"),
        ("DELETE FROM item WHERE id = 2", "item: 4 rows, should be 5"),
        ("UPDATE item SET body = '1' WHERE id = 1", "item: its 5 rows differ from those before"),
        ("UPDATE item SET body = 1.0 WHERE id = 1", "item: its 5 rows differ from those before"),
        ("UPDATE item SET body = x'31' WHERE id = 2", "item: its 5 rows differ from those before"),
        ("""UPDATE "Odd Name" SET c = 'x'""", "Odd Name: its 2 rows differ from those before"),
        ("""UPDATE "Odd Name" SET "A b" = 'y' WHERE d IS NULL""", "Odd Name: its 2 rows differ from those before"),
        ("UPDATE sqlite_sequence SET seq = 9", "item: its AUTOINCREMENT counter is 9, should be 5"),
        (
            """ALTER TABLE "Odd Name" RENAME COLUMN d TO e""",
            "odd name.d is missing",
        ),
    ],
)
def test_what_down_does_not_restore_is_named(database: Path, down: str, line: str) -> None:
    (done,) = _rehearse(database, {"001_change": sql("CREATE TABLE t (x)", down=["DROP TABLE t", down])}).migrations
    assert done.restored is False
    assert line in done.differences


def test_columns_in_another_order_are_no_exact_restoration(database: Path) -> None:
    script(database, "CREATE TABLE pair (a INTEGER, b INTEGER); INSERT INTO pair VALUES (1, 2)")
    down = ("ALTER TABLE pair ADD COLUMN a INTEGER", "UPDATE pair SET a = 1")
    source = "deletes = ('pair.a',)\n" + sql("ALTER TABLE pair DROP COLUMN a", down=down)
    (done,) = _rehearse(database, {"001_drop": source}).migrations
    assert done.differences == ("pair: its columns are in the order b, a; should be a, b",)


def test_what_a_newer_down_leaves_is_not_held_against_the_older_one(database: Path) -> None:
    files = {
        "001_innocent": sql("CREATE TABLE a (x)", down=["DROP TABLE a"]),
        "002_careless": sql("CREATE TABLE b (x)", down=["DELETE FROM item"]),
    }
    innocent, careless = _rehearse(database, files).migrations
    assert (innocent.restored, innocent.differences) == (True, ())
    assert (careless.restored, careless.differences) == (False, ("table b is left behind", "item: 0 rows, should be 5"))


def test_a_migration_that_fails_is_reported_with_its_message_and_ends_the_rehearsal(database: Path) -> None:
    files = {
        "001_fine": sql("CREATE TABLE a (x)", down=["DROP TABLE a"]),
        "002_fails": sql("DELETE FROM item", "INSERT INTO nowhere VALUES (1)"),
        "003_never": sql("CREATE TABLE c (x)"),
    }
    result = _rehearse(database, files)
    fine, fails = result.migrations
    assert not result.ok
    (failure,) = result.failures
    assert failure == fails.up.failure
    assert failure.startswith("002_fails.py, line 3: OperationalError: no such table: nowhere; statement: INSERT INTO")
    assert fails.up.tables == ()
    assert (fine.down, fine.restored, fails.down) == (None, None, None)
    assert [path.name for path in database.parent.iterdir() if "rehearsal" in path.name] == []


def test_a_loss_that_is_not_declared_is_found_in_the_rehearsal(database: Path) -> None:
    (done,) = _rehearse(database, {"001_deletes": sql("DELETE FROM item WHERE id = 1")}).migrations
    assert done.up.failure is not None
    assert "item lost 1 of 5 rows" in done.up.failure


def test_the_guard_that_would_trip_trips_in_the_rehearsal(database: Path) -> None:
    (done,) = _rehearse(database, {"001_commits": sql("DELETE FROM item", "COMMIT")}).migrations
    assert done.up.failure is not None
    assert "001_commits.py" in done.up.failure
    assert "COMMIT inside a migration: the runner commits" in done.up.failure


def test_a_down_that_fails_is_reported_and_one_that_is_missing_is_no_failure(database: Path) -> None:
    files = {
        "001_fine": sql("CREATE TABLE a (x)", down=["DROP TABLE a"]),
        "002_for_good": sql("CREATE TABLE b (x)", down=None),
        "003_fine": sql("CREATE TABLE c (x)", down=["DROP TABLE c"]),
    }
    result = _rehearse(database, files)
    assert [each.restored for each in result.migrations] == [None, None, True]
    assert result.ok
    assert result.notice is not None
    assert result.notice.startswith("002_for_good.py: defines no down")
    files["003_fine"] = sql("CREATE TABLE c (x)", down=["DROP TABLE missing"])
    result = _rehearse(database, files)
    assert not result.ok
    assert "no such table: missing" in result.failures[0]
    assert [each.restored for each in result.migrations] == [None, None, None]


def test_an_interrupt_removes_the_copy_and_leaves_the_database_alone(database: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        _rehearse(database, {"001_stop": python("db.execute_sql('DELETE FROM item')\nraise KeyboardInterrupt")})
    assert rows(database, "SELECT count(*) FROM item") == [(5,)]
    assert {path.name for path in database.parent.iterdir()} == {"app.db", "migrations"}


def test_a_rehearsal_goes_from_the_current_version_to_the_target(database: Path) -> None:
    files = {f"{number:03d}_make": sql(f"CREATE TABLE t{number} (x)") for number in (1, 2, 3)}
    directory = write(database.parent / "migrations", files)
    with runner_of(database, directory) as runner:
        runner.migrate(1)
        assert [each.migration.version for each in rehearse(runner, 2).migrations] == [2]
        assert [each.migration.version for each in rehearse(runner).migrations] == [2, 3]
        runner.migrate()
        assert rehearse(runner).migrations == ()
        with pytest.raises(ConfigurationError, match="version 2 is not pending; pending: none"):
            rehearse(runner, 2)
    assert history(database) == [1, 2, 3]


def test_the_runners_own_tables_are_no_migrations_doing(database: Path) -> None:
    files = {"001_nothing": sql()}
    directory = write(database.parent / "migrations", files)
    with runner_of(database, directory, table_name="Own_History") as runner:
        (done,) = rehearse(runner).migrations
    assert (done.up.tables, done.restored, done.differences) == ((), True, ())


def test_the_copy_goes_to_the_directory_that_is_named(database: Path) -> None:
    elsewhere = database.parent / "elsewhere"
    elsewhere.mkdir()
    look = "import pathlib; assert pathlib.Path(db.database).parent.parent.name == 'elsewhere'"
    directory = write(database.parent / "migrations", {"001_look": python(look)})
    with runner_of(database, directory) as runner:
        assert rehearse(runner, directory=elsewhere).ok
    assert list(elsewhere.iterdir()) == []


def test_what_cannot_be_rehearsed_is_refused_before_anything_is_copied(tmp_path: Path) -> None:
    directory = write(tmp_path / "migrations", {"001_first": sql()})
    with closing(peewee.SqliteDatabase(":memory:")) as memory, pytest.raises(ConfigurationError, match="in memory"):
        rehearse(MigrationRunner(memory, directory))
    make_huge(tmp_path / "huge.db")

    def refuse() -> None:
        with runner_of(tmp_path / "huge.db", directory) as runner, pytest.raises(NotEnoughDisk, match="a rehearsal"):
            rehearse(runner)

    assert forked_with_small_files(refuse) == 0
    with runner_of(fill(tmp_path / "app.db", 1), directory) as runner:
        runner.migrate()
        (directory / "001_first.py").rename(directory / "001_other.py")
        write(directory, {"002_second": sql()})
        with pytest.raises(MissingMigration):
            rehearse(runner)
    assert {path.name for path in tmp_path.iterdir()} == {"app.db", "huge.db", "migrations"}


REMADE = "CREATE TABLE item (id INTEGER PRIMARY KEY AUTOINCREMENT, body, twice AS (body || body))"
BACK = ["CREATE INDEX item_body ON item (body)", "CREATE VIEW items AS SELECT * FROM item"]


@pytest.mark.parametrize(
    ("deletes", "up", "down"),
    [
        ("item", ["DELETE FROM item WHERE id > 1"], []),
        ("Item", ["DROP VIEW items", "DROP TABLE item"], [REMADE, *BACK]),
        ("odd name.D", ['ALTER TABLE "Odd Name" DROP COLUMN d'], ['ALTER TABLE "Odd Name" ADD COLUMN d REAL']),
    ],
)
def test_what_a_migration_declares_to_delete_need_not_come_back(
    database: Path, deletes: str, up: list[str], down: list[str]
) -> None:
    before = sql("CREATE TABLE a (x)", down=["DROP TABLE a"])
    files = {"001_before": before, "002_deletes": f"deletes = [{deletes!r}]\n" + sql(*up, down=down)}
    result = _rehearse(database, files)
    assert [(each.restored, each.differences) for each in result.migrations] == [(True, ()), (True, ())]
    assert result.ok


@pytest.mark.parametrize(
    ("up", "down", "line"),
    [
        ("SELECT 1", "DELETE FROM item WHERE id = 1", "item: 4 rows, should be 5"),
        ("ALTER TABLE item DROP COLUMN twice", "SELECT 1", "item.twice is missing"),
        ("DELETE FROM item", "UPDATE \"Odd Name\" SET c = 'x'", "Odd Name: its 2 rows differ from those before"),
    ],
)
def test_a_declaration_excuses_nothing_but_what_it_names(database: Path, up: str, down: str, line: str) -> None:
    script(database, "DROP VIEW items")
    deletes = "item" if up.startswith("DELETE") else "item.body"
    source = f"deletes = [{deletes!r}]\n" + sql(up, down=[down])
    (done,) = _rehearse(database, {"001_deletes": source}).migrations
    assert done.differences == (line,)
