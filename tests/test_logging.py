"""Without any logging configuration, each refusal and each problem is printed exactly once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.commands import command
from tests.support.databases import script
from tests.support.migrations import sql, table, write
from tests.support.programs import printed
from tests.support.stores import make_store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.databases import Target

REFUSED = """
import logging, sys
from usage_store import init_database, insert_usage_snapshot, insert_usage_snapshots, register_session
from usage_store import register_sessions, update_usage_config, validate_database
if sys.argv[2:]:
    logging.basicConfig(format="%(levelname)s %(name)s %(message)s")
init_database(sys.argv[1])
assert insert_usage_snapshot({"session_id": "nobody", "snapshot_data": {}}) is None
assert insert_usage_snapshots([{"session_id": "nobody", "snapshot_data": {}}]) is None
assert update_usage_config({"plan": "max100"}) is False
assert register_session("") is False
assert register_sessions([""]) is None
"""
LINES = [
    "insert_usage_snapshot refused: session 'nobody' is unknown; register_session() makes it known",
    "insert_usage_snapshots refused: snapshot 0: session 'nobody' is unknown; register_session() makes it known",
    "update_usage_config refused: plan: 'max100' is not allowed; allowed: pro, max5, max20, custom",
    "register_session refused: session_id: '' is not allowed; allowed: a text of at least one character, without NUL",
    "register_sessions refused: session_id: '' is not allowed; allowed: a text of at least one character, without NUL",
]
VALIDATE = """
import sys
from usage_store import init_database, validate_database
init_database(sys.argv[1])
print(validate_database())
"""


def test_a_refusal_is_seen_without_a_logging_configuration(store_target: Target, tmp_path: Path) -> None:
    assert printed(REFUSED, store_target, cwd=tmp_path) == ("", LINES)


def test_a_refusal_is_seen_once_with_one(store_target: Target, tmp_path: Path) -> None:
    assert printed(REFUSED, store_target, "configured", cwd=tmp_path) == (
        "",
        [f"ERROR usage_store {line}" for line in LINES],
    )


def test_each_problem_that_validate_database_finds_is_seen(store_target: Target, tmp_path: Path) -> None:
    make_store(store_target)
    script(store_target, "DROP INDEX idx_usage_snapshots_type; UPDATE usage_config SET is_active = 0")
    out, err = printed(VALIDATE, store_target, cwd=tmp_path)
    assert out == "False\n"
    assert err == [
        "validate: index idx_usage_snapshots_type on usage_snapshots is missing",
        "validate: usage_config: no configuration is active; reset_usage_config() makes one active, with the defaults",
    ]


@pytest.mark.parametrize("words", [(), ("--json",), ("rehearse",)])
def test_a_migration_that_fails_is_told_once_on_the_command_line(
    store_target: Target, tmp_path: Path, words: tuple[str, ...]
) -> None:
    script(store_target, "CREATE TABLE there (a INTEGER)")
    write(tmp_path / "own", {"001_bad": sql("CREATE TABLE there (a INTEGER)")})
    done = command(*words, "--database", store_target, "--directory", "own", cwd=tmp_path)
    assert done.returncode == 7
    assert done.stderr.count("001_bad") == ("rehearse" not in words)
    notices = "rehearse" in words and isinstance(store_target, str)  # that a server's tables are locked meanwhile
    assert done.stderr.count("\n") == ("rehearse" not in words) + notices


def test_a_failed_migration_is_raised_and_not_logged(store_target: Target, tmp_path: Path) -> None:
    write(tmp_path / "own", {"001_bad": sql("CREATE TABLE usage_config (a INTEGER)")})
    code = """
import sys
from usage_store import MigrationRunner, errors, init_database
try:
    MigrationRunner(init_database(sys.argv[1]), "own").migrate()
except errors.MigrationFailed as error:
    print(str(error).partition(":")[0])
"""
    assert printed(code, store_target, cwd=tmp_path) == ("001_bad.py, line 2\n", [])


@pytest.mark.only_on("sqlite", "foreign keys")
def test_violations_from_before_are_told_once_whatever_runs_and_however_often(tmp_path: Path) -> None:
    script(
        tmp_path / "app.db",
        "CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (a_id REFERENCES a); INSERT INTO b VALUES (7)",
    )
    write(tmp_path / "own", {"001_one": table("one"), "002_two": table("two")})
    for words in (["rehearse"], []):
        done = command(*words, "--database", "app.db", "--directory", "own", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (
            0,
            "found before migrating: b has rows that refer to missing rows in a\n",
        )
