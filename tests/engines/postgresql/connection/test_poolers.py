"""A pooler in transaction mode: PgBouncer stands between the store and its server."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qsl, urlsplit

import peewee
import psycopg
import pytest

from usage_store.engines import connected, open_database
from usage_store.engines.postgresql.connection.check_server import is_pooled
from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from tests.support.postgresql_servers import Kept
    from usage_store.engines.postgresql.connection.our_connections import OurServer

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs pgbouncer, which Debian's package of this name brings")
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


@pytest.fixture(scope="module")
def pooled(server: Kept) -> Iterator[str]:
    """Give the URL of the database of `server` through a pooler."""
    host = dict(parse_qsl(urlsplit(server.url).query))["host"]
    folder = Path(tempfile.mkdtemp(prefix="pb"))
    (folder / "settings.ini").write_text(SETTINGS.format(host=host, folder=folder))
    owner = Path(host).stat()
    os.chown(folder, owner.st_uid, owner.st_gid)
    user = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    assert PROGRAM is not None
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
