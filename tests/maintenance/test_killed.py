"""Maintenance that dies before any statement loses nothing that was to stay, and the next run comes to the same end."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.support.databases import PAGE, opened
from tests.support.maintenance import (
    COMPACTED,
    IDS,
    KILLED,
    PRUNED,
    SPAN,
    between,
    compact_older,
    copied,
    maintain_all,
    prepared,
    session,
    state_of,
    take_small_steps,
    text,
)
from tests.support.programs import ROUNDS, forked
from usage_store import pacing
from usage_store.migrate import MigrationRunner
from usage_store.models import MODELS, UsageSession, UsageSnapshot
from usage_store.retention import evict
from usage_store.space import give_back, truncate_wal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from peewee import SqliteDatabase

pytestmark = [pytest.mark.long, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")]


def evict_some(database: SqliteDatabase) -> None:
    pacing.finish(database, lambda pace: evict(database, 50 * PAGE, pace))


def give_all_back(database: SqliteDatabase) -> None:
    for _ in give_back(database, pacing.Turns()):
        pass
    truncate_wal(database)


# What is done, on a database that is compacted from so many days on, and which rows are gone then; None is the oldest.
WORKS: dict[str, tuple[float, Callable[[SqliteDatabase], object], set[int] | None]] = {
    "compact": (SPAN, lambda database: compact_older(database, COMPACTED), set()),
    "prune": (20, lambda _: UsageSnapshot.prune(PRUNED), set(range(1, 13))),
    "evict": (20, evict_some, None),
    "give back": (0, give_all_back, set()),
    "remove": (20, lambda _: UsageSession.remove_many(["b", "c"]), {n for n in IDS if session(n) in "bc"}),
    "maintain": (33, maintain_all, None),
    "rollback": (3, lambda database: MigrationRunner(database, backup=False).rollback(1), set()),
}


def run(path: Path, name: str, what: str = "", die_before: int = -1) -> int:
    """Do a work, and count the statements that begin so; the process dies before the one with that number."""
    seen = 0

    def count(statement: str) -> None:
        nonlocal seen
        seen += statement.upper().startswith(what)
        if seen == die_before:
            os._exit(KILLED)

    with opened(path) as database, database.bind_ctx(MODELS):
        database.connection().set_trace_callback(count)
        WORKS[name][1](database)
    return seen


def spread(count: int, number: int) -> range:
    """So many of the numbers up to `count`, or all of them."""
    return range(1, count + 1, max(1, count // (number * ROUNDS)))


@pytest.mark.parametrize("name", WORKS)
def test_killed_before_any_statement_nothing_is_lost_and_the_next_run_ends_the_same(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_small_steps(monkeypatch)
    compacted, _, gone = WORKS[name]
    origin = prepared(tmp_path / "origin.db", compacted=compacted)
    if name == "rollback":
        with opened(origin) as database:
            MigrationRunner(database, backup=False).rollback(2)
    before = state_of(origin)
    assert {number: row[0] for number, row in before.rows.items()} == {number: text(number) for number in IDS}
    numbers = {what: run(copied(origin, tmp_path / f"{what}.db"), name, what) for what in ("", "COMMIT")}
    after = state_of(tmp_path / "COMMIT.db")
    assert set(before.rows) - set(after.rows) == (set(range(1, min(after.rows))) if gone is None else gone)
    assert (after, after.free) != (before, before.free)

    found = [before]
    for what, number in numbers.items():
        for die_before in spread(number, 40):
            path = copied(origin, tmp_path / "killed.db")
            assert forked(partial(run, path, name, what, die_before)) == KILLED
            state = between(before, after, path)
            found += [] if state in found else [state]
            run(path, name)
            assert state_of(path) == after, f"killed before {what} {die_before} of {number}"
    assert (len(found) > 3) == (name not in {"give back", "rollback"})
