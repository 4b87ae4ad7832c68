"""The fixtures in the tests of two web applications, in several processes and in random order."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

import pytest

from tests.apps.servers import application_environment
from tests.support.programs import run_python

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("fastapi")
pytest.importorskip("flask")
pytest.importorskip("pytest_randomly")
pytest.importorskip("xdist")

# A Flask application whose database is a file, and which opens the usage tables itself.
SHOP = """
    from flask import Flask
    from peewee import AutoField, IntegerField, Model, SqliteDatabase
    from usage_store import init_database, insert_usage_snapshot, register_session

    database = SqliteDatabase("production.db", pragmas={"journal_mode": "wal", "foreign_keys": 1})

    class Order(Model):
        id = AutoField()
        number = IntegerField(unique=True)

        class Meta:
            database = database
            table_name = "shop_order"

    def create_app():
        init_database(database, retention_days=30)
        app = Flask(__name__)
        app.before_request(lambda: database.connect(reuse_if_open=True) and None)
        app.teardown_request(lambda error: database.close() and None)
        app.post("/orders/<int:number>")(order)
        return app

    def order(number):
        register_session("ab74d3b7")
        with database.atomic() as transaction:
            Order.create(number=number)
            insert_usage_snapshot({"session_id": "ab74d3b7", "snapshot_data": {"number": number}})
            if number % 10 == 0:
                transaction.rollback()
                return {}, 409
        return {}, 200
"""
# A FastAPI application with a proxy, whose endpoints run in threads.
KIOSK = """
    from contextlib import asynccontextmanager
    from fastapi import FastAPI
    from fastapi.responses import JSONResponse
    from peewee import AutoField, DatabaseProxy, IntegerField, Model, SqliteDatabase
    from usage_store import insert_usage_snapshot, register_session

    database = DatabaseProxy()

    @database.attach_callback
    def open_production(given):
        if given is not None and given.database == "production.db":
            given.connect()

    class Order(Model):
        id = AutoField()
        number = IntegerField(unique=True)

        class Meta:
            database = database
            table_name = "shop_order"

    app = FastAPI()

    @app.post("/orders/{number}")
    def order(number: int):
        with database.connection_context():
            register_session("ab74d3b7")
            with database.atomic() as transaction:
                Order.create(number=number)
                insert_usage_snapshot({"session_id": "ab74d3b7", "snapshot_data": {"number": number}})
                if number % 10 == 0:
                    transaction.rollback()
                    return JSONResponse({}, 409)
            return {}
"""
CONFTEST = """
    import pytest
    import APP

    @pytest.fixture
    def usage_store_database():
        return APP.database

    @pytest.fixture
    def usage_store_models():
        return [APP.Order]

    @pytest.fixture
    def usage_store_migrations():
        return ["migrations"]
"""
TESTS = """
    import APP
    import pytest
    import usage_store
    CLIENT

    @pytest.mark.parametrize("number", range(1, 21))
    def test_an_order_is_stored_with_its_snapshot_or_not_at_all(usage_database, client, number):
        status = client.post(f"/orders/{number}").status_code
        assert status == (409 if number % 10 == 0 else 200)
        expected = [number] if status == 200 else []
        with APP.database.connection_context() if APP.database.is_closed() else APP.database.atomic():
            assert [order.number for order in APP.Order.select()] == expected
            assert [each.data["number"] for each in usage_store.UsageSnapshot.between()] == expected
            assert usage_store.validate_database()

    def test_nothing_of_a_test_is_left():
        assert usage_store.UsageSession._meta.database is None
        assert usage_store.UsageSnapshot.upkeep is None
        assert AFTERWARDS
"""
FLASK = """
    @pytest.fixture
    def client(usage_database):
        return APP.create_app().test_client()
"""
FASTAPI = """
    @pytest.fixture
    def client(usage_database):
        from fastapi.testclient import TestClient
        with TestClient(APP.app) as client:
            yield client
"""
ADD_ORDERS = """
    def up(migrator, db):
        db.execute_sql("CREATE TABLE shop_order (id INTEGER PRIMARY KEY, number INTEGER NOT NULL UNIQUE)")
"""


def project(folder: Path, name: str, application: str, client: str, afterwards: str) -> None:
    folder.joinpath(f"{name}.py").write_text(textwrap.dedent(application))
    tests = folder / f"tests_of_{name}"
    (tests / "migrations").mkdir(parents=True)
    (tests / "migrations" / "001_add_orders.py").write_text(textwrap.dedent(ADD_ORDERS))
    (tests / "conftest.py").write_text(textwrap.dedent(CONFTEST).replace("APP", name))
    text = TESTS.replace("    CLIENT\n", client).replace("AFTERWARDS", afterwards).replace("APP", name)
    (tests / f"test_{name}.py").write_text(textwrap.dedent(text))


def test_two_applications_are_tested_in_random_order_and_their_files_are_never_made(tmp_path: Path) -> None:
    project(
        tmp_path, "shop", SHOP, FLASK, "(shop.database.database, shop.database.is_closed()) == ('production.db', True)"
    )
    project(tmp_path, "kiosk", KIOSK, FASTAPI, "kiosk.database.obj is None")
    words = ("-m", "pytest", "-q", "-W", "error", "-W", "ignore:Using `httpx`", "--import-mode=importlib", "-n", "2")
    environment = application_environment(tmp_path)
    del environment["USAGE_STORE_DATABASE"]
    done = run_python(*words, cwd=tmp_path, **environment)
    assert re.search(r"^42 passed", done.stdout, re.MULTILINE), done.stdout + done.stderr
    assert list(tmp_path.rglob("*.db*")) == []


OPENS_BY_ITSELF = """
    import fastapi_threads
    import pytest
    import usage_store
    from fastapi.testclient import TestClient

    @pytest.mark.parametrize("number", [1, 2])
    def test_it(usage_database, number):
        with TestClient(fastapi_threads.app) as client:
            assert client.post(f"/snapshots/{number}").status_code == 200
            assert client.get("/sizes").json() == {"ab74d3b7": 1}
        assert [each.data["number"] for each in usage_store.UsageSnapshot.between()] == [number]
        assert usage_store.UsageSnapshot._meta.database is usage_database
"""


def test_an_application_that_opens_its_database_in_its_lifespan_meets_that_of_the_test(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(textwrap.dedent(OPENS_BY_ITSELF))
    words = ("-m", "pytest", "-q", "-W", "error", "-W", "ignore:Using `httpx`")
    done = run_python(*words, cwd=tmp_path, **application_environment(tmp_path))
    assert done.stdout.splitlines()[-1].startswith("2 passed"), done.stdout
    assert list(tmp_path.glob("*.db*")) == []
