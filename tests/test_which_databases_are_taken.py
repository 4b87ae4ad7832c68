"""Which Peewee databases are accepted. Accepted ones work like those of this package; others are refused at once."""

from __future__ import annotations

from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peewee
import pytest
from playhouse.pool import PooledSqliteDatabase

import usage_store as store
from tests.support.migrations import history, python, sql, table, write
from usage_store import UsageSnapshot, init_database
from usage_store.engines.sqlite.connection.second_connection import second_connection
from usage_store.errors import ConfigurationError
from usage_store.migrate import MigrationRunner
from usage_store.migrate.rehearse import rehearse
from usage_store.models import MODELS
from usage_store.testing import seed_usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.only_on("sqlite", "classes of databases")

KEY = "it's a secret"


class OfTheirOwn(peewee.SqliteDatabase):
    """An unknown database class, with a collation that its tables need."""

    def _add_conn_hooks(self, conn: Any) -> None:
        super()._add_conn_hooks(conn)  # type: ignore[misc]  # private in peewee
        conn.create_collation("theirs", lambda a, b: (a > b) - (a < b))


def _encrypted(path: str) -> peewee.SqliteDatabase:
    cipher = pytest.importorskip("playhouse.sqlcipher_ext", reason="needs SQLCipher: pip install sqlcipher3")
    made: peewee.SqliteDatabase = cipher.SqlCipherDatabase(path, passphrase=KEY, pragmas={"kdf_iter": 1000})
    return made


def _by_uri(path: str) -> peewee.SqliteDatabase:
    return peewee.SqliteDatabase(f"file:{path}?cache=shared&mode=rwc", uri=True)


def _that_writes(path: str) -> peewee.SqliteDatabase:
    return peewee.SqliteDatabase(path, pragmas={"journal_mode": "wal", "user_version": 7})


KINDS: dict[str, Callable[[str], peewee.SqliteDatabase]] = {
    "plain": peewee.SqliteDatabase,
    "pooled": lambda path: PooledSqliteDatabase(path, max_connections=1),
    "of their own": OfTheirOwn,
    "by URI, with a shared cache": _by_uri,
    "with pragmas that write": _that_writes,
    "encrypted": _encrypted,
}


@contextmanager
def made(kind: str, path: Path) -> Iterator[peewee.SqliteDatabase]:
    database = KINDS[kind](str(path))
    try:
        yield database
    finally:
        database.close()
        if isinstance(database, PooledSqliteDatabase):
            database.close_all()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
def database(kind: str, tmp_path: Path) -> Iterator[peewee.SqliteDatabase]:
    with made(kind, tmp_path / "app.db") as database:
        yield database


def texts() -> list[tuple[int, str]]:
    return sorted((snapshot.id, snapshot.snapshot_data) for snapshot in UsageSnapshot.select())


def test_a_database_that_is_taken_can_do_everything(database: peewee.SqliteDatabase, kind: str, tmp_path: Path) -> None:
    assert init_database(database) is database
    assert database.is_closed()
    with database.connection_context():
        seed_usage(database, snapshots=60, days=60)
        written = texts()
        assert store.maintain(compact_after_days=1).compacted > 40
        assert texts() == written
        assert store.validate_database()
        assert [migration.version for migration in store.rollback_migrations()] == [3]
        assert rehearse(store.get_migration_runner()).ok
        store.run_migrations()
        assert texts() == written
    (backup,) = tmp_path.glob("*.backup")
    with made(kind, backup) as copy:
        assert copy.execute_sql("SELECT count(*) FROM usage_snapshots").fetchone() == (60,)


def test_losses_are_found_and_rows_are_backed_up_in_every_kind(database: peewee.SqliteDatabase, tmp_path: Path) -> None:
    collation = " COLLATE theirs" if isinstance(database, OfTheirOwn) else ""
    one = sql(f"CREATE TABLE item (title TEXT{collation} UNIQUE)", "INSERT INTO item VALUES ('a'), ('b')")
    own = write(tmp_path / "own", {"001_one": one, "002_two": sql("DELETE FROM item", down=None)})
    with database.connection_context():
        database.execute_sql("PRAGMA journal_mode = WAL")
    runner = MigrationRunner(database, own)
    with pytest.raises(store.errors.MigrationFailed, match="item lost 2 of 2 rows"):
        runner.migrate()
    write(own, {"002_two": "deletes = ('item',)\n" + sql("DELETE FROM item", down=None)})
    runner.migrate()
    assert len(list(tmp_path.glob("app.db.v1.*.backup"))) == 1
    with database.connection_context():
        assert database.execute_sql("SELECT count(*) FROM item").fetchone() == (0,)


def test_a_backup_of_an_encrypted_database_is_encrypted(tmp_path: Path) -> None:
    with made("encrypted", tmp_path / "app.db") as database:
        init_database(database)
        store.register_session("a")
        store.rollback_migrations()
        (backup,) = tmp_path.glob("*.backup")
        assert not backup.read_bytes().startswith(b"SQLite format 3")


def test_a_second_connection_reads_what_is_committed_of_the_same_file_by_the_same_driver(
    database: peewee.SqliteDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.connection_context():
        database.execute_sql("PRAGMA journal_mode = WAL")
        database.execute_sql("CREATE TABLE item (title)")
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        with database.atomic("IMMEDIATE"):
            database.execute_sql("INSERT INTO item VALUES (1)")
            with second_connection(database) as second:
                assert type(second.connection()) is type(database.connection())
                assert second.connection() is not database.connection()
                assert second.execute_sql("SELECT count(*) FROM item").fetchone() == (0,)
                with pytest.raises(peewee.OperationalError, match="readonly"):
                    second.execute_sql("CREATE TABLE other (a)")
                raw = second.connection()
            with pytest.raises(raw.ProgrammingError, match="closed"):
                raw.execute("SELECT 1")
    assert list(Path.cwd().iterdir()) == []


def test_a_relative_path_is_the_file_it_was_when_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    with closing(peewee.SqliteDatabase("a?b#c%20d.db")) as database:
        database.execute_sql("CREATE TABLE item (title)")
        monkeypatch.chdir("elsewhere")
        with second_connection(database) as second:
            assert second.get_tables() == ["item"]
    assert list(Path.cwd().iterdir()) == []


def _refused() -> list[Any]:
    normal = "use peewee.SqliteDatabase"
    kinds = (
        ("playhouse.apsw_ext", "APSWDatabase", normal),
        ("playhouse.cysqlite_ext", "CySqliteDatabase", normal),
        ("playhouse.sqliteq", "SqliteQueueDatabase", f"{normal}, which threads may share"),
        ("playhouse.pwasyncio", "AsyncSqliteDatabase", f"{normal}, and asyncio.to_thread() for each call"),
    )
    return [pytest.param(*row, id=row[1]) for row in kinds]


@pytest.mark.parametrize(("module", "name", "says"), _refused())
@pytest.mark.parametrize("inherited", [False, True])
def test_a_database_that_cannot_be_taken_is_refused_before_anything_is_done(
    tmp_path: Path, module: str, name: str, says: str, *, inherited: bool
) -> None:
    kind = getattr(pytest.importorskip(module, reason=f"needs the driver of {name}", exc_type=ImportError), name)
    if inherited:
        kind = type("Theirs", (kind,), {})
    database = kind(str(tmp_path / "app.db"))
    for adopt in (init_database, MigrationRunner, store.maintain):
        with pytest.raises(ConfigurationError, match="is not supported: ") as caught:
            adopt(database)
        assert str(caught.value).startswith(f"{kind.__name__} is not supported: ")
        assert says in str(caught.value)
    assert {model._meta.database for model in MODELS} == {None}
    proxy = peewee.DatabaseProxy()
    init_database(proxy)
    with pytest.raises(ConfigurationError, match="is not supported: "):
        proxy.initialize(database)
    if hasattr(database, "stop"):
        database.stop()
    assert not any(b"usage" in file.read_bytes() for file in tmp_path.iterdir())


def test_a_database_in_memory_is_connected_and_stays_so() -> None:
    database = peewee.SqliteDatabase(":memory:")
    assert init_database(database) is database
    assert store.register_session("s")
    assert store.insert_usage_snapshot({"session_id": "s", "snapshot_data": {}}) is not None
    assert store.maintain().left == ()
    assert store.validate_database()
    assert len(store.get_usage_snapshots() or ()) == 1
    database.close()


@pytest.mark.parametrize("name", [":memory:", "file:shared?mode=memory&cache=shared"])
def test_a_runner_keeps_what_it_made_in_memory(tmp_path: Path, name: str) -> None:
    own = write(tmp_path / "own", {"001_one": table("one"), "002_two": sql("no sql")})
    with closing(peewee.SqliteDatabase(name, uri=name.startswith("file:"))) as database:
        runner = MigrationRunner(database, own)
        with pytest.raises(store.errors.MigrationFailed):
            runner.migrate()
        assert runner.current_version() == 1
        assert "one" in database.get_tables()


def settings(connection: Any) -> list[int]:
    names = ("foreign_keys", "synchronous", "busy_timeout")
    return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]


def test_a_pools_connections_come_back_to_it_as_they_were(tmp_path: Path) -> None:
    another = """
        db.close()
        taken = db._connect()  # as another thread does
        db.execute_sql("CREATE TABLE another (a)")
        db._close(taken)
    """
    own = write(tmp_path / "own", {"001_one": table("one"), "002_another": python(another, atomic=False)})
    pragmas = {"foreign_keys": 1, "synchronous": 1, "busy_timeout": 77, "journal_mode": "wal"}
    database = PooledSqliteDatabase(str(tmp_path / "app.db"), pragmas=pragmas)
    assert len(MigrationRunner(database, own).migrate()) == 2
    assert (database.is_closed(), database._in_use) == (True, {})
    assert [settings(connection) for *_, connection in database._connections] == [[1, 1, 77], [1, 1, 77]]
    database.close_all()
    assert history(tmp_path / "app.db", "own_migrations") == [1, 2]
