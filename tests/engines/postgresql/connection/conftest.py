"""A server that tests of connections may change, and databases as applications make them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.postgresql_servers import own_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.postgresql_servers import Kept


@pytest.fixture(scope="package")
def server() -> Iterator[Kept]:
    """Give a server with roles and databases of its own."""
    import psycopg

    with own_server(18, max_connections="20") as kept:
        with psycopg.connect(kept.url, autocommit=True) as connection:
            for statement in (
                "CREATE ROLE reader LOGIN",
                "CREATE ROLE stranger LOGIN",
                "CREATE ROLE crowd LOGIN CONNECTION LIMIT 0",
                "CREATE ROLE late LOGIN",
                "ALTER ROLE late SET default_transaction_read_only = on",
                "CREATE ROLE hasty LOGIN",
                "ALTER ROLE hasty SET statement_timeout = '50ms'",
                "CREATE ROLE secretive LOGIN PASSWORD 'right'",
                "CREATE SCHEMA shut",
                "CREATE TABLE public.items (id bigint)",
                "INSERT INTO public.items VALUES (1)",
                "GRANT SELECT ON public.items TO reader, late, hasty",
                "CREATE DATABASE bytes ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0",
            ):
                connection.execute(statement.encode())
            (file,) = connection.execute("SHOW hba_file").fetchone() or ("",)
            with open(file, "r+") as rules:  # noqa: PTH123  the name is a text
                rest = rules.read()
                rules.seek(0)
                rules.write(f"local all secretive scram-sha-256\n{rest}")
            connection.execute("SELECT pg_reload_conf()")
        yield kept
