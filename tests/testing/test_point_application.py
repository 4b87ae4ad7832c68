"""An application that is pointed at the file of a test: everything of it meets that file, and nothing of it stays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peewee
import pytest

import usage_store
from tests.support.programs import environment, forked, printed
from tests.support.snapshots import new_store
from usage_store.bind_models import binding
from usage_store.errors import ConfigurationError, TransactionOpen
from usage_store.models import MODELS, UsageSession, UsageSnapshot
from usage_store.testing.application import application_of
from usage_store.testing.point_application import pointed

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

pytestmark = pytest.mark.quick

Database = peewee.Database | peewee.DatabaseProxy


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(new_store(tmp_path / "test.db"))


def model(database: Database | None, name: str = "Item") -> type[peewee.Model]:
    meta = type("Meta", (), {"database": database, "table_name": name.lower()})
    return type(name, (peewee.Model,), {"Meta": meta, "name": peewee.TextField(), "__module__": "shop"})


def at(file: str, database: Database | None = None, *models: type[peewee.Model]) -> AbstractContextManager[Any]:
    return pointed(application_of(database, models), file)


def buy(own: peewee.SqliteDatabase, *models: type[peewee.Model]) -> None:
    with own.atomic():
        for each in models:
            each.create(name="lost")
        usage_store.register_session("lost")
        _ = 1 / 0


def production() -> peewee.SqliteDatabase:
    return peewee.SqliteDatabase("production.db")


def test_the_application_s_own_block_is_rolled_back_in_the_file_of_the_test(file: str) -> None:
    own = production()
    item, bare = model(own), model(None, "Bare")
    with at(file, None, item, bare) as database:
        assert (database, item._meta.database) == (own, own)
        database.create_tables([item, bare])
        with pytest.raises(ZeroDivisionError):
            buy(own, item, bare)
        with own.connection_context():
            assert (item.select().count(), bare.select().count(), UsageSession.select().count()) == (0, 0, 0)
    assert bare._meta.database is None
    assert {each._meta.database for each in MODELS} == {None}
    assert (own.database, own.is_closed(), list(Path.cwd().iterdir())) == ("production.db", True, [])


@pytest.mark.parametrize(
    "before", [None, production, lambda: peewee.PostgresqlDatabase("production"), lambda: peewee.SqliteDatabase(None)]
)
def test_a_proxy_calls_back_once_with_the_database_of_the_test_and_not_afterwards(
    file: str, before: Callable[[], peewee.Database] | None
) -> None:
    proxy, told = peewee.DatabaseProxy(), []
    inner = None if before is None else before()
    proxy.initialize(inner)
    proxy.attach_callback(lambda database: told.append((database, database.database)))
    item = model(proxy)
    with at(file, None, item) as database:
        assert proxy.obj is database
        assert told == [(database, file)]
        assert database is inner or not isinstance(
            inner, peewee.SqliteDatabase
        )  # who holds the inner one meets the file too
        with proxy.atomic():
            database.create_tables([item])
            item.create(name="kept")
        assert UsageSession._meta.database is database
    assert proxy.obj is inner
    assert len(told) == 1
    assert list(Path.cwd().iterdir()) == []


def test_a_model_with_the_server_s_database_itself_is_bound_where_its_proxy_is_pointed(file: str) -> None:
    proxy, server = peewee.DatabaseProxy(), peewee.PostgresqlDatabase("production")
    proxy.initialize(server)
    item = model(server)
    with at(file, proxy, item) as database:
        assert item._meta.database is database
    assert item._meta.database is server


def test_a_model_that_the_test_binds_has_its_own_database_back(file: str) -> None:
    own = production()
    item = model(own)
    with at(file, own, item):
        item.bind(peewee.SqliteDatabase(":memory:"))
    assert item._meta.database is own


def test_a_callback_that_fails_leaves_everything_as_it_was(file: str) -> None:
    proxy, inner = peewee.DatabaseProxy(), production()
    proxy.initialize(inner)
    proxy.attach_callback(lambda _database: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        at(file, proxy).__enter__()
    assert (proxy.obj, inner.database, inner.is_closed()) == (inner, "production.db", True)
    assert "USAGE_STORE_DATABASE" not in os.environ


def test_two_databases_are_refused_in_one_sentence_and_neither_is_touched(file: str) -> None:
    first, second, proxy, other = production(), peewee.SqliteDatabase("second.db"), peewee.DatabaseProxy(), None
    proxy.initialize(first)
    one, same, two = model(first, "One"), model(proxy, "Same"), model(second, "Two")
    assert application_of(None, [one, same]).database is proxy
    assert application_of(first, [same]).database is proxy
    before = [dict(vars(first)), dict(vars(second))]
    says = (
        "one test has one database, but shop.One has SqliteDatabase('production.db') and shop.Two has "
        "SqliteDatabase('second.db'); leave the models of one of them out of usage_store_models"
    )
    with pytest.raises(ConfigurationError) as raised:
        at(file, other, one, same, two)
    assert str(raised.value) == says
    with pytest.raises(
        ConfigurationError, match=r"usage_store_database is SqliteDatabase.'production\.db'. and shop\.Two has Sql"
    ):
        at(file, first, two)
    with pytest.raises(ConfigurationError, match=r"and shop\.B has a DatabaseProxy without a database; leave"):
        at(file, None, model(peewee.DatabaseProxy(), "A"), model(peewee.DatabaseProxy(), "B"))
    assert [vars(first), vars(second)] == before
    assert list(Path.cwd().iterdir()) == []


def test_a_model_whose_proxy_waits_for_a_database_is_bound_beside_a_named_database(file: str) -> None:
    waiting = model(peewee.DatabaseProxy(), "Waiting")
    proxy = waiting._meta.database
    with at(file, production(), waiting) as database:
        database.create_tables([waiting])
        waiting.create(name="a")
        assert waiting.select().count() == 1
    assert waiting._meta.database is proxy


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("shop.db", "usage_store_database must be a Peewee Database or DatabaseProxy, not 'shop.db'"),
        (
            peewee.MySQLDatabase("a"),
            "MySQLDatabase is not supported: .*; give the application a DatabaseProxy",
        ),
    ],
)
def test_a_database_that_has_no_file_is_refused(named: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        application_of(named, [])


def test_something_else_than_models_is_refused_and_one_model_alone_is_taken() -> None:
    wrong: Any = [int]
    with pytest.raises(ConfigurationError, match=r"^usage_store_models has <class 'int'>; allowed: Peewee models$"):
        application_of(None, wrong)
    own = production()
    item = model(own)
    assert application_of(None, item) == (own, (item,))
    assert list(Path.cwd().iterdir()) == []


def test_a_database_in_a_transaction_is_refused_and_everything_stays(file: str) -> None:
    own = peewee.SqliteDatabase(":memory:")
    with own.atomic(), pytest.raises(TransactionOpen):
        at(file, own).__enter__()
    assert (own.database, binding().databases, "USAGE_STORE_DATABASE" in os.environ) == (
        ":memory:",
        (None,) * len(MODELS),
        False,
    )
    own.close()


def test_nothing_stays_of_init_database_in_a_test(file: str) -> None:
    own, proxy, other = production(), peewee.DatabaseProxy(), peewee.DatabaseProxy()
    proxy.initialize(own)
    usage_store.init_database(other, retention_days=5)  # as an application does when it is imported; it waits
    before, callbacks = binding(), [*proxy._callbacks]
    assert before.upkeep is not None
    with at(file, proxy):
        assert UsageSnapshot.upkeep is None
        usage_store.init_database(proxy, max_bytes=10**9)
        assert UsageSnapshot.upkeep is not None
        assert len(proxy._callbacks) == len(callbacks) + 1
        opened = usage_store.init_database()
        assert (opened.database, opened is own) == (file, False)
        usage_store.register_session("a")
        opened.transaction().__enter__()
        opened.execute_sql("DELETE FROM usage_sessions")
    assert opened.is_closed()
    assert binding() == before
    assert [*proxy._callbacks] == callbacks
    assert (proxy.obj, own.database, list(Path.cwd().iterdir())) == (own, "production.db", [])
    with at(file, proxy):
        assert [each.session_id for each in UsageSession.select()] == ["a"]
        usage_store.close_database()
    assert binding() == before


def test_a_database_of_the_package_is_made_where_the_application_has_none(file: str) -> None:
    with at(file) as database:
        assert [database.execute_sql(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")] == [
            "wal",
            0,
        ]
    assert database.is_closed()


def test_a_function_that_a_module_registers_at_its_import_stays(file: str) -> None:
    own = production()
    with at(file, own):
        own.register_function(lambda: 7, "seven", 0)
    with at(file, own):
        assert own.execute_sql("SELECT seven()").fetchone() == (7,)


def test_a_callback_that_a_module_attaches_at_its_import_stays(file: str) -> None:
    proxy = peewee.DatabaseProxy()
    told: list[peewee.Database] = []
    with at(file, proxy):
        proxy.attach_callback(told.append)
    with at(file, proxy) as database:
        assert told == [database]


@pytest.mark.parametrize("how", ["init", "initialize"])
def test_an_application_that_points_its_database_elsewhere_during_the_test_is_told_so(
    file: str, tmp_path: Path, how: str
) -> None:
    own, proxy = production(), peewee.DatabaseProxy()
    proxy.initialize(own)
    elsewhere = peewee.SqliteDatabase(str(tmp_path / "elsewhere.db"))
    says = "pointed its database at .*elsewhere.db.* during the test, so .* take the path from .USAGE_STORE_DATABASE"

    def test() -> None:
        with at(file, proxy):
            if how == "init":
                own.init(str(tmp_path / "elsewhere.db"))
            else:
                proxy.initialize(elsewhere)
                elsewhere.connect()

    with pytest.raises(ConfigurationError, match=says):
        test()
    assert (proxy.obj, own.database, elsewhere.is_closed()) == (own, "production.db", True)
    with at(file, proxy):  # the same file by another object is no mistake
        proxy.initialize(peewee.SqliteDatabase(os.path.relpath(os.environ["USAGE_STORE_DATABASE"])))
        proxy.execute_sql("SELECT 1")


def test_usage_models_that_are_bound_to_another_file_at_the_end_are_told_so(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    file = str(new_store(tmp_path / "test" / "test.db"))

    def test(path: Path) -> None:
        with at(file, production()):
            usage_store.init_database(path)

    test(tmp_path / "test" / "a second database of the test.db")
    with pytest.raises(
        ConfigurationError, match=r"bound the usage models to .*/production\.db during the test, so the"
    ):
        test(tmp_path / "production.db")
    assert binding().databases == (None,) * len(MODELS)


def test_other_processes_meet_the_file_of_the_test(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USAGE_STORE_DATABASE", "before.db")
    own = production()
    with at(file, own):
        assert forked(lambda: (usage_store.register_session("of a fork"), own.close())) == 0
        code = "import usage_store; usage_store.init_database(); usage_store.register_session('of a process')"
        again = {"USAGE_STORE_DATABASE": os.environ["USAGE_STORE_DATABASE"]}
        assert printed(code, cwd=tmp_path, **again) == ("", [])
        done = subprocess.run(
            [sys.executable, "-m", "usage_store", "migrate", "check"],
            env=environment(**again),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert sorted(each.session_id for each in UsageSession.select()) == ["of a fork", "of a process"]
    assert os.environ["USAGE_STORE_DATABASE"] == "before.db"
    assert list(Path.cwd().iterdir()) == []


def test_the_models_of_an_installed_package_are_no_reason_for_a_warning(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peewee_migrate.models import MigrateHistory

    # As its Router does it. After bind_ctx(), the model would create its table in the database of an earlier Router.
    monkeypatch.setattr(MigrateHistory._meta, "database", peewee.SqliteDatabase(str(tmp_path / "elsewhere.db")))
    with at(file) as database:
        assert MigrateHistory._meta.database is not database
