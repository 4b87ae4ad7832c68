"""init_database() opens or adopts what it is given, migrates it and binds the models."""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_type

import peewee
import pytest

import usage_store as store
from tests.support.databases import names, own, script
from tests.support.driver import sqlite3
from tests.support.programs import ROOT, TIMEOUT, run_python
from tests.support.snapshots import filled
from usage_store import UsageSession, UsageSnapshot, init_database
from usage_store.errors import ConfigurationError, DatabaseUnreadable, InvalidValue, UsageStoreError
from usage_store.models import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.databases import Target

pytestmark = pytest.mark.quick

PRAGMAS = ("foreign_keys", "synchronous", "busy_timeout", "journal_mode", "cache_size", "recursive_triggers")
EVENTS = "CREATE TABLE events (id INTEGER PRIMARY KEY, session_id TEXT NOT NULL, payload TEXT)"
TARGETS = [
    *(("{}/a b.db", "a b.db"), ("relative.db", "relative.db"), (Path("{}/p.db"), "p.db")),
    *(("sqlite:///relative.db", "relative.db"), ("sqlite:///{}/a%20b%3Fc.db", "a b?c.db")),
]
BAD_TARGETS = [
    ("", ConfigurationError, "empty"),
    ("missing/usage.db", DatabaseUnreadable, "missing/usage.db: its folder does not exist"),
    ("folder", DatabaseUnreadable, "folder: cannot be opened"),
    ("text.txt", DatabaseUnreadable, "text.txt: not a database"),
    ("sqlite://admin:s3cret@host/usage.db", ConfigurationError, r"sqlite://admin:\*\*\*@host/usage.db"),
    (
        "postgresql://admin:s3cret@/usage?host=/nowhere",
        DatabaseUnreadable,
        "postgresql://admin@/usage.+cannot be reached",
    ),
    ("postgres://admin:s3%40cret@host:5432/usage?nonsense=1", ConfigurationError, "nonsense"),
    ("postgresql:///usage?host=/nowhere&user=admin&password=s3cret", DatabaseUnreadable, "cannot be reached"),
    (peewee.SqliteDatabase(None), ConfigurationError, "deferred"),
    (peewee.PostgresqlDatabase(None), ConfigurationError, "the database is deferred"),
    (3, ConfigurationError, "a peewee.DatabaseProxy, not 3"),
    (UsageSession, ConfigurationError, "not <Model: UsageSession>"),
    (b"usage.db", ConfigurationError, r"b'usage\.db' is bytes, and a path is a str"),
    ("a\0b.db", ConfigurationError, "holds a NUL character"),
    ("\ud800.db", ConfigurationError, r"'\\ud800\.db': holds a character that no path can"),
    ("~nobody-of-this-name/usage.db", ConfigurationError, "~nobody-of-this-name has no home folder here"),
    (Path(), DatabaseUnreadable, "cannot be opened: it is a folder; give the path of a file"),
]


@contextmanager
def opened(target: Any = None, **options: Any) -> Iterator[Any]:
    database = init_database(target, **options)
    try:
        yield database
    finally:
        database.close()


def tables(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM sqlite_master")]


def make(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for sql in statements:
            connection.execute(sql)
    return path


def settings(database: peewee.SqliteDatabase) -> dict[str, Any]:
    return {name: database.pragma(name) for name in PRAGMAS}


@pytest.mark.only_on("sqlite", "files")
def test_without_a_target_it_is_usage_db_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("USAGE_STORE_DATABASE", raising=False)
    monkeypatch.chdir(tmp_path)
    init_database().close()
    monkeypatch.setenv("USAGE_STORE_DATABASE", f"sqlite:///{tmp_path}/named.db")
    init_database().close()
    assert all("usage_config" in tables(tmp_path / name) for name in ("usage.db", "named.db"))


@pytest.mark.only_on("sqlite", "files")
@pytest.mark.parametrize(("target", "file"), TARGETS)
def test_a_path_or_url_is_opened_and_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str | Path, file: str
) -> None:
    monkeypatch.chdir(tmp_path)
    filled = type(target)(str(target).format(tmp_path))
    init_database(filled).close()
    with opened(filled):
        assert store.register_session("s") is True
    assert [path.name for path in tmp_path.iterdir()] == [file]


@pytest.mark.only_on("sqlite", "settings of a connection")
def test_connections_that_we_open_are_set_up_in_every_thread(tmp_path: Path) -> None:
    with opened(tmp_path / "usage.db", timeout=3) as database, ThreadPoolExecutor(1) as pool:
        seen = [settings(database), pool.submit(settings, database).result(TIMEOUT)]
        pool.submit(database.close).result(TIMEOUT)
        database.close()
        seen.append(settings(database))
    wanted = {"foreign_keys": 1, "synchronous": 1, "busy_timeout": 3000, "journal_mode": "wal"}
    assert [one | wanted for one in seen] == seen


@pytest.mark.only_on("sqlite", "settings of a connection")
def test_an_open_database_is_adopted_as_it_is(tmp_path: Path) -> None:
    host = peewee.SqliteDatabase(str(make(tmp_path / "host.db", EVENTS)), timeout=1)
    with closing(host):
        host.connect()
        host.execute_sql("PRAGMA synchronous = OFF")
        host.execute_sql("CREATE TEMP TABLE mine (x)")
        before, connection = settings(host), host.connection()
        assert init_database(host) is host
        assert host.connection() is connection
        assert settings(host) == before
        assert (before["foreign_keys"], before["journal_mode"], before["synchronous"]) == (0, "delete", 0)
        assert not connection.in_transaction
        assert host.execute_sql("SELECT count(*) FROM mine").fetchone() == (0,)
        assert store.get_usage_config() is not None


def test_a_closed_database_is_closed_again_with_its_settings(store_target: Target) -> None:
    on_a_server = isinstance(store_target, str)
    given = {} if on_a_server else {"pragmas": {"foreign_keys": 1, "cache_size": -7000}}
    host = own(store_target, **given)
    assert init_database(host) is host
    assert host.is_closed()
    with host.connection_context():
        if on_a_server:
            assert host.execute_sql("SELECT current_setting('lock_timeout')").fetchone() == ("0",)
        else:
            assert (host.pragma("cache_size"), host.pragma("journal_mode")) == (-7000, "delete")
        assert store.register_session("s") is True


def test_an_initialised_proxy_is_migrated_and_stays_the_models_database(store_target: Target) -> None:
    proxy = peewee.DatabaseProxy()
    proxy.initialize(own(store_target))
    assert init_database(proxy) is proxy
    assert {model._meta.database for model in MODELS} == {proxy}
    assert "usage_config" in names(store_target)


def test_a_proxy_initialised_later_is_migrated_then(store_target: Target, second_target: Target) -> None:
    proxy = peewee.DatabaseProxy()
    assert init_database(proxy) is proxy
    for name, target in (("first", store_target), ("second", second_target)):
        proxy.initialize(own(target))
        with proxy.connection_context():
            assert store.register_session(name) is True
            assert [session.session_id for session in UsageSession.select()] == [name]


def test_the_hosts_models_stay_with_their_database(store_target: Target, tmp_path: Path) -> None:
    elsewhere = peewee.SqliteDatabase(str(tmp_path / "host.db"))

    class Note(peewee.Model):
        session = peewee.ForeignKeyField(UsageSession, backref="notes")

        class Meta:
            database = elsewhere

    with opened(store_target):
        assert Note._meta.database is elsewhere
        assert UsageSession._meta.database is not elsewhere
    UsageSession._meta.backrefs.pop(Note.session)


@pytest.mark.parametrize(("target", "error", "says"), BAD_TARGETS, ids=[row[2] for row in BAD_TARGETS])
def test_a_target_that_cannot_be_used_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: Any, error: type[UsageStoreError], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.txt").write_text("Dear diary, this is a text that is longer than a database's header." * 9)
    before = {path: path.stat() for path in tmp_path.iterdir()}
    with pytest.raises(error, match=says) as caught:
        init_database(target)
    assert "\n" not in str(caught.value)
    assert "cret" not in f"{caught.value}{caught.value.__cause__}"
    assert {path: path.stat() for path in tmp_path.iterdir()} == before
    assert {model._meta.database for model in MODELS} == {None}


@pytest.mark.only_on("sqlite", "files")
def test_a_file_of_no_bytes_is_an_empty_database(tmp_path: Path) -> None:
    (tmp_path / "usage.db").touch()
    with opened(tmp_path / "usage.db"):
        assert store.get_usage_config() is not None


@pytest.mark.only_on("sqlite", "files")
@pytest.mark.parametrize("kind", ["truncated", "hole", "schema"])
def test_a_corrupt_file_is_told_and_not_migrated(tmp_path: Path, kind: str) -> None:
    event = "INSERT INTO events (session_id, payload) VALUES ('s', hex(randomblob(800)))"
    path = make(tmp_path / "usage.db", "PRAGMA synchronous = OFF", EVENTS, *[event] * 60)
    content = bytearray(path.read_bytes())
    if kind == "truncated":
        del content[len(content) // 2 :]
    else:
        start = len(content) // 2 // 4096 * 4096 if kind == "hole" else 100
        content[start : start + 3000] = b"\xff" * 3000
    path.write_bytes(content)
    with pytest.raises(UsageStoreError, match="corrupt") as caught:
        init_database(path)
    assert caught.value.exit_code == 8
    assert not any(b"usage_config" in file.read_bytes() for file in tmp_path.iterdir())


OPEN_AS_NOBODY = """
import os, sys, usage_store
from usage_store import errors, init_database
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
if not (os.access(sys.argv[1], os.R_OK) and os.access(usage_store.__file__, os.R_OK)):
    sys.exit(77)
try:
    init_database(sys.argv[1])
except errors.DatabaseUnreadable as error:
    print(error)
"""


@pytest.mark.only_on("sqlite", "files")
@pytest.mark.parametrize("applied", ["nothing", "everything"])
def test_a_file_that_this_user_may_not_write_is_told(applied: str) -> None:
    with tempfile.TemporaryDirectory() as folder:  # tmp_path is closed to other users
        path = make(Path(folder) / "usage.db", EVENTS)
        if applied == "everything":
            init_database(path).close()
        before = path.read_bytes()
        path.chmod(0o444)
        path.parent.chmod(0o555)
        done = run_python("-c", OPEN_AS_NOBODY, path, cwd=ROOT)
        path.parent.chmod(0o755)
        if done.returncode == 77:
            pytest.skip("only root can reach the temporary folder or the package")
        assert (done.stderr, done.stdout.count("\n"), done.stdout.startswith(f"{path}: ")) == ("", 1, True)
        assert path.read_bytes() == before


def test_events_made_later_are_followed_once_linked(store_target: Target) -> None:
    with opened(store_target):
        with pytest.raises(ConfigurationError, match="no events table with a session_id"):
            store.link_events()
        script(store_target, f"{EVENTS}; INSERT INTO events (id, session_id) VALUES (1, 'a'), (2, 'a'), (3, 'b')")
        assert store.insert_usage_snapshot({"session_id": "a", "snapshot_data": {}}) is None
        store.link_events()
        store.link_events()
        script(store_target, "INSERT INTO events (id, session_id) VALUES (4, 'c')")
        assert store.insert_usage_snapshots({"session_id": name, "snapshot_data": 1} for name in "abc") == 3
        script(store_target, "DELETE FROM events WHERE id IN (1, 3)")
        assert {snapshot.session_id for snapshot in store.get_usage_snapshots() or ()} == {"a", "c"}


@pytest.mark.only_on("sqlite", "files")
def test_a_leading_tilde_is_the_home_folder_in_a_path_and_not_in_a_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for target in ("~/usage.db", Path("~/path.db"), "~file.db"):
        with opened(target):
            pass
    monkeypatch.setenv("USAGE_STORE_DATABASE", "~/named.db")
    init_database().close()
    with pytest.raises(DatabaseUnreadable, match=r"~/usage\.db: its folder does not exist"):
        init_database("sqlite:///~/usage.db")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["named.db", "path.db", "usage.db", "~file.db"]


@pytest.mark.only_on("sqlite", "files")
def test_a_name_that_is_not_utf_8_is_a_name_as_any_other(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.db")
    try:
        Path(path).touch()
    except OSError:
        pytest.skip("this file system takes no such names")
    with opened(path):
        assert store.register_session("s") is True
    with store.opened(path, readonly=True):
        assert [size.session_id for size in store.get_session_sizes()] == ["s"]
    assert os.listdir(os.fsencode(tmp_path)) == [b"caf\xe9.db"]  # noqa: PTH208  its names as bytes


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("app.db", r"not 'app\.db'; pass one: MigrationRunner\(SqliteDatabase\('app\.db'\), \"migrations\"\)"),
        (None, r"not None; pass one: MigrationRunner\(SqliteDatabase\(\"app\.db\"\), \"migrations\"\)"),
        (3, "not 3; pass one: "),
        (Path("app.db"), r"not (Posix|Windows)Path\('app\.db'\); pass one: "),
    ],
)
def test_a_runner_says_what_to_pass(tmp_path: Path, given: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=f"MigrationRunner takes a Peewee database, {says}") as caught:
        store.MigrationRunner(given, tmp_path)
    assert "\n" not in str(caught.value)


MAINTENANCE: list[tuple[dict[str, Any], tuple[Any, ...] | None]] = [
    ({}, None),
    ({"compact_after_days": "auto"}, None),
    ({"retention_days": 30}, (30, None, 7)),
    ({"max_bytes": 2**30}, (None, 2**30, 7)),
    ({"compact_after_days": 2}, (None, None, 2)),
    ({"compact_after_days": 0.5, "retention_days": 3}, (3, None, 0.5)),
    ({"compact_after_days": None, "retention_days": 3}, (3, None, None)),
]


@pytest.mark.sample
@pytest.mark.parametrize(("options", "goals"), MAINTENANCE)
def test_maintenance_after_inserts_is_what_was_asked_for(store_target: Target, options: Any, goals: Any) -> None:
    with opened(store_target, **options):
        upkeep: Any = UsageSnapshot.upkeep
        assert (None if upkeep is None else upkeep._wanted) == goals


@pytest.mark.only_on("sqlite", "compaction")
def test_days_after_which_to_compact_are_enough_to_compact_after_an_insert(tmp_path: Path) -> None:
    path = filled(tmp_path / "usage.db", 60)
    with opened(path, compact_after_days=1):
        store.register_session("s")
        assert store.insert_usage_snapshot({"session_id": "s", "snapshot_data": {}}) is not None
    with closing(sqlite3.connect(path)) as connection:
        kinds = dict(connection.execute("SELECT typeof(snapshot_data), count(*) FROM usage_snapshots GROUP BY 1"))
    assert kinds.get("blob", 0) > 0


@pytest.mark.sample
@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"compact_after_days": None}, ConfigurationError, "leaves nothing to do without retention_days or max_bytes"),
        ({"compact_after_days": "weekly"}, InvalidValue, "allowed: a number of days above 0, None or 'auto'"),
        ({"compact_after_days": 0}, InvalidValue, "compact_after_days: 0 is not allowed"),
        ({"retention_days": -1}, InvalidValue, "retention_days: -1 is not allowed"),
        ({"max_bytes": 1}, InvalidValue, "max_bytes: 1 is not allowed"),
        ({"timeout": "5"}, InvalidValue, "timeout: '5' is not allowed; allowed: a number of seconds from 0 to 1000000"),
        ({"timeout": -1}, InvalidValue, "timeout: -1 is not allowed"),
        ({"wait": True}, InvalidValue, "wait: True is not allowed"),
        ({"wait": float("nan")}, InvalidValue, "wait: nan is not allowed"),
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_is_made(
    store_target: Target, tmp_path: Path, options: Any, error: type[UsageStoreError], says: str
) -> None:
    with pytest.raises(error, match=says):
        init_database(store_target, **options)
    assert list(tmp_path.iterdir()) == []
    assert not isinstance(store_target, str) or names(store_target) == set()


def test_what_is_given_is_what_type_checkers_see_given_back(tmp_path: Path) -> None:
    """mypy reads this; a path gives a Database, an object its own type."""
    own = peewee.SqliteDatabase(str(tmp_path / "own.db"))
    proxy = peewee.DatabaseProxy()
    assert_type(init_database(str(tmp_path / "usage.db"), timeout=1), peewee.Database)
    assert_type(init_database(tmp_path / "usage.db"), peewee.Database)
    assert_type(init_database(own), peewee.SqliteDatabase)
    assert_type(init_database(proxy), peewee.DatabaseProxy)
    with store.opened(own) as same, store.opened(tmp_path / "usage.db", readonly=True) as found:
        assert_type(same, peewee.SqliteDatabase)
        assert_type(found, peewee.Database)
    store.close_database()


@pytest.mark.sample
@pytest.mark.parametrize("option", ["timeout", "wait"])
@pytest.mark.parametrize("seconds", ["5", None, True, -1, float("nan"), float("inf"), 10**6 + 1])
def test_a_time_to_wait_that_cannot_be_is_refused_before_a_file_is_made(
    store_target: Target, tmp_path: Path, option: str, seconds: Any
) -> None:
    options: dict[str, Any] = {option: seconds}
    with pytest.raises(InvalidValue, match=rf"^{option}: .+ is not allowed; allowed: a number of seconds from 0"):
        init_database(store_target, **options)
    assert list(tmp_path.iterdir()) == []
    assert not isinstance(store_target, str) or names(store_target) == set()
