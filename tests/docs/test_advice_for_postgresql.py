"""What the pages about PostgreSQL say about rights, SQL and copies is so."""

from __future__ import annotations

import os
import subprocess
import uuid
from typing import TYPE_CHECKING
from urllib.parse import quote

import peewee
import pytest

from tests.support.pages import blocks_of
from tests.support.postgresql_servers import execute, for_drivers, programs, schema_of, server_url
from usage_store import (
    UsageConfig,
    errors,
    get_usage_snapshots,
    insert_usage_snapshot,
    insert_usage_snapshots,
    maintain,
    opened,
    register_session,
    remove_sessions,
    rollback_migrations,
    update_usage_config,
)
from usage_store.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SNAPSHOT = {"session_id": "s", "snapshot_data": {"tokens": 7458}}


def block(page: str, language: str, beginning: str) -> str:
    """The block of a page that begins so."""
    [text] = [each.text for each in blocks_of(page) if each.language == language and each.text.startswith(beginning)]
    return text


@pytest.fixture
def role(postgresql_url: str) -> Iterator[str]:
    """Name a new role without rights, beside a migrated schema with a table `events`."""
    name = f"monitor_{uuid.uuid4().hex[:8]}"
    execute(postgresql_url, f"CREATE ROLE {name}; CREATE TABLE events (session_id text)")
    with opened(postgresql_url):
        register_session("s")
        insert_usage_snapshot(SNAPSHOT)
    yield name
    execute(postgresql_url, f"DROP OWNED BY {name}; DROP ROLE {name}")


def as_role(url: str, role: str) -> str:
    return f"{url}&options={quote(f'-crole={role}', safe='')}"


def test_a_role_with_the_rights_of_the_page_stores(postgresql_url: str, role: str) -> None:
    granted = block("docs/postgresql.md", "sql", "GRANT").replace("monitor", role)
    execute(postgresql_url, granted.replace("SCHEMA usage", f"SCHEMA {schema_of(postgresql_url)}"))
    with opened(as_role(postgresql_url, role)) as database:
        assert database.execute_sql("SELECT current_user").fetchone() == (role,)
        assert register_session("other")
        assert insert_usage_snapshot({**SNAPSHOT, "session_id": "other"}) is not None
        assert insert_usage_snapshots([SNAPSHOT] * 2) == 2
        assert update_usage_config({"plan": "pro"})
        assert maintain(retention_days=30).left == ()
        assert remove_sessions(["s"]) == 3


def test_a_role_that_may_only_select_reads_and_checks(
    postgresql_url: str, role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    schema = schema_of(postgresql_url)
    execute(
        postgresql_url,
        f"GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}",
    )
    url = as_role(postgresql_url, role)
    with opened(url, readonly=True):
        assert len(get_usage_snapshots()) == 1
        with pytest.raises(errors.ReadOnlyDatabase):
            register_session("other")
    for name in ("check", "status", "validate"):
        assert main(["migrate", name, "--database", url]) == 0, name
    assert main(["migrate", "plan", "0", "--database", url]) == 8
    assert "has no right CREATE on the database" in capsys.readouterr().err


def test_the_condition_on_the_active_configuration_is_written_with_true(postgresql_url: str) -> None:
    with opened(postgresql_url) as database:
        assert UsageConfig.select().where(UsageConfig.is_active == True).count() == 1  # noqa: E712  as on the page
        with pytest.raises(peewee.ProgrammingError), database.atomic():
            UsageConfig.select().where(UsageConfig.is_active).count()


def test_usage_json_gives_a_text_that_the_server_reads(postgresql_url: str) -> None:
    with opened(postgresql_url) as database:
        register_session("s")
        insert_usage_snapshot(SNAPSHOT)
        sql = "SELECT usage_json(snapshot_data)::jsonb -> 'tokens' FROM usage_snapshots"
        assert database.execute_sql(sql).fetchall() == [(7458,)]


@pytest.mark.slow
def test_a_rehearsal_runs_in_the_copy_that_the_page_makes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if programs(18) is None or os.environ.get("USAGE_STORE_TEST_POSTGRES"):
        pytest.skip("needs the programs of the tests' own server")
    source, copy = (f"{name}_{uuid.uuid4().hex[:8]}" for name in ("usage", "copy"))
    server = server_url()
    execute_outside(server, f"CREATE DATABASE {source}")
    try:
        here, there = (server.replace("/postgres?", f"/{name}?") for name in (source, copy))
        with opened(here):
            rollback_migrations(2)
        advice = block("docs/migrations-on-postgresql.md", "sh", "createdb").replace("copy", copy)
        words = ["sh", "-c", advice.replace("usage", source)]
        path = f"{programs(18)}:{os.environ['PATH']}"
        given = {"PATH": path, "PGHOST": server.partition("host=")[2], "PGUSER": "postgres"}
        subprocess.run(words, cwd=tmp_path, env=given, check=True)
        assert main(["migrate", "rehearse", "--database", here, "--in", there]) == 0
        assert "003_follow_events_and_references" in capsys.readouterr().out
    finally:
        for name in (source, copy):
            execute_outside(server, f"DROP DATABASE IF EXISTS {name}")


def execute_outside(url: str, sql: str) -> None:
    """Run a statement that cannot be in a transaction."""
    import psycopg

    with psycopg.connect(for_drivers(url), autocommit=True) as connection:
        connection.execute(sql.encode())
