"""The fixtures in the test suite of an application, which is run by another pytest process."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import usage_store

if TYPE_CHECKING:
    import peewee

pytestmark = pytest.mark.quick

pytest_plugins = ["pytester"]

UNBOUND = """
    import pytest
    from usage_store import UsageConfig, UsageSession, UsageSnapshot

    seen = []

    @pytest.fixture(autouse=True)
    def unbound_and_closed():
        yield
        for model in (UsageConfig, UsageSession, UsageSnapshot):
            assert model._meta.database is None
        assert all(database.is_closed() for database in seen)
"""
MODELS = """
    import peewee

    production = peewee.SqliteDatabase("production.db")

    class Project(peewee.Model):
        name = peewee.TextField()

        class Meta:
            database = production
            table_name = "projects"
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Return a folder for the tests of an application. The package is imported from the same place as here."""
    monkeypatch.setenv("PYTHONPATH", str(Path(usage_store.__file__).parents[1]))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # loading other plugins of this environment takes seconds
    return pytester


def _passed(suite: pytest.Pytester, count: int) -> None:
    result = suite.runpytest_subprocess("-p", "usage_store.pytest_plugin", "-W", "error")
    result.assert_outcomes(passed=count)
    assert result.ret == 0


def test_each_test_has_a_fresh_migrated_bound_database_that_is_unbound_and_closed_afterwards(
    suite: pytest.Pytester,
) -> None:
    suite.makeconftest(textwrap.dedent(UNBOUND))
    suite.makepyfile("""
        import pytest
        import usage_store
        from conftest import seen

        @pytest.mark.parametrize("n", [1, 2, 3])
        def test_it(usage_database, tmp_path, n):
            seen.append(usage_database)
            assert len(set(map(id, seen))) == n
            assert usage_store.UsageSnapshot._meta.database is usage_database
            assert usage_database.database == str(tmp_path / "usage.db")
            assert usage_database.pragma("foreign_keys") == 1
            assert usage_store.get_migration_status().pending_count == 0
            assert usage_store.validate_database()
            assert usage_store.get_usage_config().plan == "custom"
            assert usage_store.update_usage_config({"plan": "pro"})
            assert usage_store.get_usage_snapshots() == []
            usage_store.register_session("a")
            assert usage_store.insert_usage_snapshot({"session_id": "a", "snapshot_data": {}}).id == 1

        def test_seen():
            assert len(seen) == 3 and all(database.is_closed() for database in seen)
    """)
    _passed(suite, count=4)


@pytest.mark.slow
def test_it_is_unbound_and_closed_after_a_test_that_fails_too(suite: pytest.Pytester) -> None:
    suite.makeconftest(textwrap.dedent(UNBOUND))
    suite.makepyfile("""
        from conftest import seen

        def test_it(usage_database):
            seen.append(usage_database)
            assert False
    """)
    result = suite.runpytest_subprocess("-p", "usage_store.pytest_plugin", "-W", "error")
    result.assert_outcomes(failed=1)  # and no error at teardown


@pytest.mark.slow
def test_the_seeded_database_comes_with_what_was_written(suite: pytest.Pytester) -> None:
    suite.makeconftest(textwrap.dedent(UNBOUND))
    suite.makepyfile("""
        import usage_store
        from conftest import seen

        def test_it(seeded_usage_database, usage_database):
            database, seeded = seeded_usage_database
            seen.append(database)
            assert database is usage_database
            assert len(seeded.snapshots) == usage_store.UsageSnapshot.select().count() == 100
            newest = usage_store.get_usage_snapshots_by_session(seeded.snapshots[-1]["session_id"])[0]
            assert newest.data == seeded.snapshots[-1]["snapshot_data"]
            assert usage_store.get_usage_config().plan == seeded.config["plan"]

        def test_the_next_one_is_empty(usage_database):
            assert usage_store.UsageSession.select().count() == 0
    """)
    _passed(suite, count=2)


@pytest.mark.slow
def test_an_application_adds_its_own_models_and_migrations(suite: pytest.Pytester) -> None:
    suite.makepyfile(shop=textwrap.dedent(MODELS))
    folder = suite.mkdir("shop_migrations")
    (folder / "001_add_projects.py").write_text(
        "def up(migrator, db):\n    db.execute_sql('CREATE TABLE projects (id INTEGER PRIMARY KEY, name TEXT)')\n"
    )
    (folder / "002_add_first_project.py").write_text(
        "def up(migrator, db):\n    db.execute_sql('INSERT INTO projects (name) VALUES (?)', ('first',))\n"
    )
    suite.makeconftest(
        textwrap.dedent(UNBOUND)
        + textwrap.dedent("""
        from pathlib import Path
        from shop import Project

        @pytest.fixture
        def usage_store_models():
            return [Project]

        @pytest.fixture
        def usage_store_migrations():
            return [(Path(__file__).parent / "shop_migrations", "shop_history")]
    """)
    )
    suite.makepyfile("""
        import pytest
        from conftest import seen
        from shop import Project, production
        from usage_store import MigrationRunner, UsageSession

        @pytest.mark.parametrize("n", [1, 2])
        def test_it(usage_database, n):
            seen.append(usage_database)
            assert [project.name for project in Project.select()] == ["first"]
            Project.create(name="second")
            UsageSession.register("a")
            history = [row[0] for row in usage_database.execute_sql("SELECT version FROM shop_history ORDER BY 1")]
            assert history == [1, 2]
            assert MigrationRunner(usage_database).validate().ok

        def test_the_application_s_model_has_its_own_database_back():
            assert Project._meta.database is production
    """)
    _passed(suite, count=3)
    assert not Path("production.db").exists()


SHOP = """
    import peewee

    db = peewee.SqliteDatabase("production.db", pragmas={"foreign_keys": 1, "cache_size": -77})

    class Item(peewee.Model):
        name = peewee.TextField()

        class Meta:
            database = db
            table_name = "items"

    def buy():
        with db.atomic():
            Item.create(name="lost")
            raise ValueError
"""
KIOSK = """
    import peewee

    db = peewee.DatabaseProxy()
    started = []

    @db.attach_callback
    def start(database):
        if database is not None:
            started.append(database.database)
            database.connect()

    class Item(db.Model):
        name = peewee.TextField()

        class Meta:
            table_name = "items"

    def buy():
        with db.atomic():
            Item.create(name="lost")
            raise ValueError
"""
WATCHED = """
    import sys
    import pytest

    opened = []
    sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "sqlite3.connect" else None)

    def pytest_sessionfinish(session):
        print("opened", len(opened), "of them production", sum("production" in each for each in opened))
"""
CONFTEST = """
    import pytest
    import APP

    @pytest.fixture
    def usage_store_database():
        return APP.db

    @pytest.fixture
    def usage_store_models():
        return [APP.Item]

    @pytest.fixture
    def usage_store_migrations():
        return ["migrations"]  # beside this file

    @pytest.fixture(scope="session")
    def usage_store_template():
        return lambda database: APP.Item.create(name="first")
"""
TESTS = """
    import multiprocessing
    import subprocess
    import sys
    import threading

    import APP
    import peewee
    import pytest
    import usage_store

    INSERT = "import usage_store; usage_store.init_database(); usage_store.register_session('of a process')"

    def register():
        usage_store.register_session("of a child")
        APP.db.close()

    @pytest.mark.parametrize("n", [1, 2])
    def test_it(usage_database, tmp_path, n):
        with pytest.raises(ValueError):
            APP.buy()
        threads = [threading.Thread(target=lambda: (APP.Item.create(name="by a thread"), APP.db.close()))]
        child = multiprocessing.get_context("fork").Process(target=register)
        APP.db.close()
        for each in (*threads, child):
            each.start()
            each.join()
        subprocess.run([sys.executable, "-c", INSERT], check=True)
        with APP.db.connection_context():
            assert [each.name for each in APP.Item.select()] == ["first", "by a thread"]
            assert sorted(each.session_id for each in usage_store.UsageSession) == ["of a child", "of a process"]
            assert usage_store.MigrationRunner(APP.db).validate().ok
        assert usage_database.database == str(tmp_path / "usage.db")

    def test_with_data(seeded_usage_database):
        database, seeded = seeded_usage_database
        assert usage_store.UsageSnapshot.select().count() == len(seeded.snapshots) > 0
        APP.Item.create(name="second")
        seeded.snapshots[0]["snapshot_data"].clear()

    def test_with_the_same_data(seeded_usage_database):
        assert APP.Item.select().count() == 1
        assert seeded_usage_database[1].snapshots[0]["snapshot_data"]

    def test_afterwards():
        assert AFTERWARDS
        assert usage_store.UsageSession._meta.database is None
"""
ADD_ITEMS = "def up(migrator, db):\n    db.execute_sql('CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT)')\n"


def applications(suite: pytest.Pytester) -> None:
    """Make two applications with their tests, and a conftest.py that watches which files are opened."""
    suite.makepyfile(shop=textwrap.dedent(SHOP), kiosk=textwrap.dedent(KIOSK))
    suite.makeconftest(textwrap.dedent(WATCHED))
    of_shop = "(APP.db.database, APP.db.is_closed()) == ('production.db', True)"
    of_kiosk = "APP.db.obj is None and len(APP.started) == len(set(APP.started))"  # no file was announced twice
    for name, afterwards in (("shop", of_shop), ("kiosk", of_kiosk)):
        folder = suite.mkdir(f"tests_of_{name}")
        for file, text in (("conftest.py", CONFTEST), (f"test_{name}.py", TESTS)):
            text = textwrap.dedent(text).replace("AFTERWARDS", afterwards).replace("APP", name)
            (folder / file).write_text(text)
        (folder / "migrations").mkdir()
        (folder / "migrations" / "001_add_items.py").write_text(ADD_ITEMS)


def test_the_fixture_tests_an_application_with_a_database_or_a_proxy_and_never_opens_its_file(
    suite: pytest.Pytester,
) -> None:
    applications(suite)
    result = suite.runpytest_subprocess("-p", "usage_store.pytest_plugin", "-W", "error", "-s")
    result.assert_outcomes(passed=10)
    result.stdout.re_match_lines([r".*opened [1-9]\d* of them production 0"])
    assert not Path("production.db").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("module", "options"), [("xdist", ["-n", "2"]), ("pytest_randomly", [])])
def test_it_does_so_in_several_processes_and_in_random_order(
    suite: pytest.Pytester, module: str, options: list[str]
) -> None:
    pytest.importorskip(module)
    applications(suite)
    plugins = ["-p", "usage_store.pytest_plugin", "-p", module]
    suite.runpytest_subprocess(*plugins, *options, "-W", "error").assert_outcomes(passed=10)
    assert not Path("production.db").exists()


def test_the_database_of_a_test_knows_the_function_for_compacted_snapshots(usage_database: peewee.Database) -> None:
    assert usage_database.execute_sql("SELECT usage_json('[]')").fetchone() == ("[]",)
