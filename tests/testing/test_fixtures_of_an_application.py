"""The fixtures in the test runs of two applications: one has a database, the other has a proxy.

Each application has its tests in a folder with a conftest.py and its migrations.
"""

from __future__ import annotations

from getpass import getuser
from typing import TYPE_CHECKING

import pytest

from tests.support.applications import ADD_ITEMS, KIOSK, SHOP, run, write
from tests.support.driver import sqlite3

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick

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


def applications(folder: Path) -> None:
    """Make two applications with their tests, and a conftest.py that watches which files are opened."""
    write(folder / "conftest.py", WATCHED)
    of_shop = "(APP.db.database, APP.db.is_closed()) == ('production.db', True)"
    of_kiosk = "APP.db.obj is None and len(APP.started) == len(set(APP.started))"  # no file was announced twice
    for name, source, afterwards in (("shop", SHOP, of_shop), ("kiosk", KIOSK, of_kiosk)):
        write(folder / f"{name}.py", source)
        for file, text in (("conftest.py", CONFTEST), (f"test_{name}.py", TESTS)):
            write(folder / f"tests_of_{name}" / file, text.replace("AFTERWARDS", afterwards).replace("APP", name))
        write(folder / f"tests_of_{name}" / "migrations" / "001_add_items.py", ADD_ITEMS)


def test_the_fixture_tests_an_application_with_a_database_or_a_proxy_and_never_opens_its_file(tmp_path: Path) -> None:
    applications(tmp_path)
    printed = run(tmp_path, "-s")
    assert "10 passed" in printed, printed
    assert " of them production 0" in printed
    assert "opened 0" not in printed or sqlite3.__name__ != "sqlite3", "other drivers do not tell what they open"
    assert not (tmp_path / "production.db").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("module", "options"), [("xdist", ["-n", "2"]), ("pytest_randomly", [])])
def test_it_does_so_in_several_processes_and_in_random_order(tmp_path: Path, module: str, options: list[str]) -> None:
    pytest.importorskip(module)
    applications(tmp_path)
    printed = run(tmp_path, "-p", module, *options)
    assert "10 passed" in printed, printed
    assert not (tmp_path / "production.db").exists()


def test_migrations_that_fail_are_told_once_in_full_and_then_in_one_line(tmp_path: Path) -> None:
    applications(tmp_path)
    write(tmp_path / "tests_of_shop" / "migrations" / "002_fail.py", "def up(migrator, db):\n    price = 1 / 0\n")
    write(
        tmp_path / "tests_of_shop" / "conftest.py",
        CONFTEST.replace("APP", "shop")
        + """
    @pytest.fixture(scope="session")
    def made(make_usage_database):
        import shop
        with make_usage_database(database=shop.db, migrations=["migrations"]) as database:
            yield database
        """,
    )
    write(
        tmp_path / "tests_of_shop" / "test_more.py",
        """
        def test_with_the_factory(made): pass
        def test_with_the_factory_again(made): pass
        """,
    )
    printed = run(tmp_path, "tests_of_shop")
    assert "6 errors" in printed, printed
    assert printed.count("price = 1 / 0") == 1, printed
    failed, error = "the template of the test databases could not be made", "MigrationFailed: 002_fail.py, line 2: Zero"
    assert printed.count(f"\n{failed}: {error}") == 2, printed  # pytest repeats what a session's fixture says
    assert printed.count(f"\n{failed}; see tests_of_shop/test_more.py::test_with_the_factory: {error}") == 4, printed


def test_a_database_that_nobody_has_named_is_a_warning_because_a_test_may_write_into_it(tmp_path: Path) -> None:
    write(tmp_path / "shop.py", SHOP)
    write(tmp_path / "memory.py", SHOP.replace("production.db", ":memory:"))
    for module in ("shop", "memory"):
        text = (
            f"import {module}, pytest\n\n@pytest.mark.parametrize('n', [1, 2])\ndef test_it(usage_database, n): pass\n"
        )
        write(tmp_path / f"test_{module}.py", text)
    printed = run(tmp_path, "-W", "default", "test_shop.py")
    assert "2 passed" in printed, printed
    assert printed.count("shop.Item has SqliteDatabase('production.db'), and this test may write into it") == 1, printed
    assert 'write database = "module:name" or models = "module" into [tool.usage_store]' in printed
    assert "2 passed in" in run(tmp_path, "test_memory.py")
    write(tmp_path / "pyproject.toml", '[tool.usage_store]\nmodels = "shop"\n')
    assert "2 passed in" in run(tmp_path, "test_shop.py")


def test_two_databases_are_one_sentence_and_a_killed_run_leaves_nothing_outside_of_the_temporary_folder(
    tmp_path: Path,
) -> None:
    applications(tmp_path)
    write(
        tmp_path / "test_both.py",
        """
        import os, signal
        import kiosk, pytest, shop

        @pytest.fixture
        def usage_store_models():
            return [shop.Item, kiosk.Item]

        def test_both(usage_database): pass

        def test_killed(make_usage_database):
            with make_usage_database(database=shop.db, migrations=["tests_of_shop/migrations"]) as database:
                shop.Item.create(name="a")
                database.begin()
                os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    before = {each for each in tmp_path.rglob("*") if "__pycache__" not in each.parts}
    printed = run(tmp_path, "test_both.py", "-k", "both and not killed")
    assert "1 error" in printed
    assert "one test has one database, but shop.Item has SqliteDatabase('production.db') and kiosk.Item" in printed
    assert "test_both.py:1" not in printed
    assert "passed" not in run(tmp_path, "test_both.py", "-k", "killed")
    after = {each for each in tmp_path.rglob("*") if "__pycache__" not in each.parts}
    assert {each.relative_to(tmp_path).parts[0] for each in after - before} == {f"pytest-of-{getuser()}"}
