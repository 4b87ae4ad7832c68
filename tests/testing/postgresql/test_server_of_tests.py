"""Which server, if any, the tests of an application use: never the one that the application itself names."""

from __future__ import annotations

import peewee
import pytest

from usage_store.errors import ConfigurationError
from usage_store.testing.application import Application, server_of_tests
from usage_store.testing.point_application import settings_of

SERVER = "postgresql://tests.invalid/tests"
PRODUCTION = "postgresql://somebody:geheim@production.invalid/shop"


def proxy_of(database: peewee.Database | None) -> peewee.DatabaseProxy:
    proxy = peewee.DatabaseProxy()
    if database is not None:
        proxy.initialize(database)
    return proxy


def servers() -> dict[str, peewee.Database | peewee.DatabaseProxy | None]:
    own = peewee.PostgresqlDatabase(PRODUCTION)
    return {"own": own, "proxy": proxy_of(own), "empty": proxy_of(None), "none": None}


@pytest.mark.parametrize("name", ["own", "proxy", "empty", "none"])
def test_the_server_is_the_one_of_the_variable(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("USAGE_STORE_TEST_POSTGRES", SERVER)
    assert server_of_tests(servers()[name]) == SERVER
    assert server_of_tests(servers()[name], PRODUCTION) == SERVER


def test_an_application_with_a_file_keeps_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USAGE_STORE_TEST_POSTGRES", SERVER)
    assert server_of_tests(peewee.SqliteDatabase("shop.db")) is None
    assert server_of_tests(proxy_of(peewee.SqliteDatabase("shop.db"))) is None
    assert server_of_tests(proxy_of(peewee.MySQLDatabase("shop"))) is None
    assert server_of_tests(None, "shop.db") is None
    assert server_of_tests(peewee.PostgresqlDatabase(PRODUCTION), "shop.db") == SERVER


@pytest.mark.parametrize("value", [None, ""])
def test_without_the_variable_no_server_is_used(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("USAGE_STORE_TEST_POSTGRES", raising=False)
    if value is not None:
        monkeypatch.setenv("USAGE_STORE_TEST_POSTGRES", value)
    for name in ("proxy", "empty", "none"):
        assert server_of_tests(servers()[name], PRODUCTION) is None
    wanted = (
        r"^PostgresqlDatabase needs a server for its tests: set \$USAGE_STORE_TEST_POSTGRES to the URL of one, never"
    )
    with pytest.raises(ConfigurationError, match=wanted):
        server_of_tests(servers()["own"], PRODUCTION)


def test_a_variable_that_is_no_url_of_a_server_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USAGE_STORE_TEST_POSTGRES", "tests.db")
    with pytest.raises(
        ConfigurationError, match=r"^\$USAGE_STORE_TEST_POSTGRES: the server of tests is named by a URL"
    ):
        server_of_tests(None)


def test_templates_are_told_apart_by_settings_and_not_by_servers_or_passwords() -> None:
    one = settings_of(Application(peewee.PostgresqlDatabase(PRODUCTION, options="-c work_mem=1MB")))
    other = settings_of(Application(peewee.PostgresqlDatabase("shop", host="other.invalid", options="-c work_mem=1MB")))
    assert one == other != settings_of(Application(peewee.PostgresqlDatabase(PRODUCTION)))
    assert "geheim" not in repr(one)
