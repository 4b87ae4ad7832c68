"""If maintenance is killed, or the disk is full, or the power fails, nothing is lost, and the next run completes it."""

from __future__ import annotations

import os
import random
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.databases import PAGE, opened, raw
from tests.support.disks import forked_with_small_files
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
    maintain_all_of,
    prepared,
    prune_and_compact,
    session,
    state_of,
    take_small_steps,
    text,
)
from tests.support.programs import ROUNDS, forked, killed_after
from usage_store.engines.sqlite.file import short_transactions
from usage_store.engines.sqlite.file.free_pages import give_back
from usage_store.engines.sqlite.file.short_transactions import truncate_wal
from usage_store.errors import UsageStoreError
from usage_store.migrate import MigrationRunner
from usage_store.models import MODELS, UsageSession, UsageSnapshot
from usage_store.models.sqlite.maintenance.delete_snapshots import evict

if TYPE_CHECKING:
    from collections.abc import Callable

    from peewee import SqliteDatabase

pytestmark = [
    pytest.mark.only_on("sqlite", "steps of maintenance"),
    pytest.mark.long,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
]

FAILED, SECTOR = 42, 512


def test_killed_at_random_moments_nothing_is_lost_and_the_next_run_ends_the_same(tmp_path: Path) -> None:
    moments = random.Random(1)
    origin = prepared(tmp_path / "origin.db", range(1, 1501))
    before = state_of(origin)
    ended = copied(origin, tmp_path / "ended.db")
    began = time.monotonic()
    assert forked(partial(prune_and_compact, ended)) == 0
    whole = time.monotonic() - began
    after = state_of(ended)
    halves = rounds = 0
    while rounds < 10 * ROUNDS or halves <= 2 * ROUNDS:
        path = copied(origin, tmp_path / f"{rounds}.db")
        for _ in range(2):
            assert killed_after(moments.uniform(0, whole), partial(again_and_again, path))
            state = between(before, after, path)
            halves += state not in (before, after)
            # The clock only gives a start: the speed of the machine changes during the test.
            whole *= 0.9 if state == after else 1.1 if state == before else 1
        prune_and_compact(path)
        assert state_of(path) == after
        path.unlink()
        rounds += 1


def again_and_again(path: Path) -> None:
    while True:
        prune_and_compact(path)


def test_a_disk_that_is_full_at_any_size_costs_one_line_and_nothing_is_lost(tmp_path: Path) -> None:
    origin = prepared(tmp_path / "origin.db")
    before = state_of(origin)
    prune_and_compact(copied(origin, tmp_path / "ended.db"))
    after = state_of(tmp_path / "ended.db")

    def tried(path: Path) -> None:
        try:
            prune_and_compact(path)
        except UsageStoreError as error:
            os._exit(FAILED if "\n" not in str(error) else 1)

    codes = []
    for pages in range(1, 400, max(1, 6 // ROUNDS)):
        path = copied(origin, tmp_path / "full.db")
        codes.append(forked_with_small_files(partial(tried, path), pages * PAGE))
        between(before, after, path)
        prune_and_compact(path)
        assert state_of(path) == after
        if codes[-1] == 0:
            break
    assert codes == [FAILED] * (len(codes) - 1) + [0]
    assert len(codes) > 3


def test_a_power_loss_that_cuts_the_wal_anywhere_leaves_a_state_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_small_steps(monkeypatch)
    origin = prepared(tmp_path / "origin.db", compacted=33)
    before = state_of(origin)
    path = copied(origin, tmp_path / "crashed.db")

    def maintain_and_die() -> None:
        with raw(path) as reader:  # prevents checkpoints, so that the -wal holds all the work
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM usage_snapshots").fetchall()
            with opened(path) as database:
                maintain_all(database)
                os._exit(KILLED)

    assert forked(maintain_and_die) == KILLED
    assert path.read_bytes() == origin.read_bytes()
    wal = Path(f"{path}-wal").read_bytes()
    maintain_all_of(copied(origin, tmp_path / "ended.db"))
    after = state_of(tmp_path / "ended.db")
    found = [before]
    for length in [*range(0, len(wal), max(1, 11 // ROUNDS) * SECTOR), len(wal)]:
        cut = copied(origin, tmp_path / "cut.db")
        Path(f"{cut}-wal").write_bytes(wal[:length])
        state = between(before, after, cut)
        if state != found[-1]:
            assert state not in found, "a longer -wal is never an earlier state"
            found.append(state)
            maintain_all_of(cut)
            assert state_of(cut) == after
    assert len(found) > 10
    assert found[-1] == after


def evict_some(database: SqliteDatabase) -> None:
    short_transactions.finish(database, lambda pace: evict(database, 50 * PAGE, pace))


def give_all_back(database: SqliteDatabase) -> None:
    for _ in give_back(database, short_transactions.Turns()):
        pass
    truncate_wal(database)


# The job, for a database with compacted rows from some age on, and the rows that are gone then; None means the oldest.
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
    """Do a job and count its statements that begin with `what`; the process dies before number `die_before`."""
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
    """Give some of the numbers up to `count`, or all of them."""
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
        for die_before in spread(number, 20):
            path = copied(origin, tmp_path / "killed.db")
            assert forked(partial(run, path, name, what, die_before)) == KILLED
            state = between(before, after, path)
            found += [] if state in found else [state]
            run(path, name)
            assert state_of(path) == after, f"killed before {what} {die_before} of {number}"
    assert (len(found) > 3) == (name not in {"give back", "rollback"})
