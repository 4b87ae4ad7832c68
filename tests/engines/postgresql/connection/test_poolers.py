"""A pooler in transaction mode: PgBouncer stands between the store and its server."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, cast

import peewee
import psycopg
import pytest

from usage_store.engines import connected, open_database
from usage_store.engines.postgresql.connection.check_server import is_pooled
from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from tests.support.postgresql_servers import Kept
    from usage_store.engines.postgresql.connection.our_connections import OurServer


def our(url: str, **options: float) -> AbstractContextManager[OurServer]:
    return closing(cast("OurServer", open_database(url, **options)))  # type: ignore[arg-type]


def test_a_pooler_is_noticed_and_no_setting_reaches_other_programs(pooled: str, server: Kept) -> None:
    with our(server.url) as direct:
        assert (is_pooled(direct), direct.pooled) == (False, False)
    with our(pooled, timeout=0.077) as database:
        assert (is_pooled(database), database.pooled) == (True, True)
        with database.atomic(), psycopg.connect(pooled) as other:
            assert database.execute_sql("SHOW lock_timeout").fetchone() == ("0",)
            assert other.execute("SHOW lock_timeout").fetchone() == ("0",)


def test_statements_run_on_any_backend_and_none_is_prepared(pooled: str) -> None:
    with closing(open_database(pooled)) as one, closing(open_database(pooled)) as other:
        for number in range(12):
            with one.atomic():
                assert one.execute_sql("SELECT %s::int", (number,)).fetchone() == (number,)
                assert other.execute_sql("SELECT %s::int", (number,)).fetchone() == (number,)
            with other.atomic():
                assert other.execute_sql("SELECT %s::int", (number,)).fetchone() == (number,)
                assert one.execute_sql("SELECT %s::int", (number,)).fetchone() == (number,)


@pytest.mark.parametrize(
    ("more", "readonly", "said"), [("&schema=public", False, "schema="), ("", True, "reading only")]
)
def test_what_needs_a_setting_of_the_session_is_refused(pooled: str, more: str, *, readonly: bool, said: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"a pooler .* \??{said} .*connect directly to the server"):
        open_database(f"{pooled}{more}", readonly=readonly)


@pytest.mark.parametrize("newer", [False, True])
def test_an_applications_database_behind_a_pooler_is_noticed(pooled: str, *, newer: bool) -> None:
    own = peewee.PostgresqlDatabase(pooled, prefer_psycopg3=newer)
    with connected(own):
        assert is_pooled(own)
