"""A server that tests of connections may change, and databases as applications make them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.support.postgresql_servers import own_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.postgresql_servers import Kept


PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
SETTINGS = """
[databases]
* = host={host} port=5432 user=postgres
[pgbouncer]
listen_port = 6432
listen_addr =
unix_socket_dir = {folder}
auth_type = any
pool_mode = transaction
default_pool_size = 3
"""


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


@pytest.fixture(scope="package")
def pooled(server: Kept) -> Iterator[str]:
    """Give the URL of the database of `server` through a pooler."""
    if PROGRAM is None:
        pytest.skip("needs pgbouncer, which Debian's package of this name brings")
    host = dict(parse_qsl(urlsplit(server.url).query))["host"]
    folder = Path(tempfile.mkdtemp(prefix="pb"))
    (folder / "settings.ini").write_text(SETTINGS.format(host=host, folder=folder))
    owner = Path(host).stat()
    os.chown(folder, owner.st_uid, owner.st_gid)
    user = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    with (folder / "log").open("wb") as log:
        program = subprocess.Popen([PROGRAM, folder / "settings.ini"], stdout=log, stderr=log, **user)  # type: ignore[call-overload]
    url = f"postgresql://postgres@/postgres?host={folder}&port=6432"
    try:
        for _ in range(500):
            assert program.poll() is None, (folder / "log").read_text()
            if (folder / ".s.PGSQL.6432").exists():
                break
            time.sleep(0.01)
        yield url
    finally:
        program.kill()
        program.wait()
        shutil.rmtree(folder)
