"""Maintenance that is killed at random, or has no disk, or loses power, loses nothing that was to stay."""

from __future__ import annotations

import os
import random
import time
from functools import partial
from pathlib import Path

import pytest

from tests.support.databases import PAGE, opened, raw
from tests.support.disks import forked_with_small_files
from tests.support.maintenance import (
    KILLED,
    between,
    copied,
    maintain_all,
    maintain_all_of,
    prepared,
    prune_and_compact,
    state_of,
    take_small_steps,
)
from tests.support.programs import ROUNDS, forked, killed_after
from usage_store.errors import UsageStoreError

pytestmark = [pytest.mark.long, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")]

FAILED, SECTOR = 42, 512


def test_killed_at_random_moments_nothing_is_lost_and_the_next_run_ends_the_same(tmp_path: Path) -> None:
    moments = random.Random(1)
    halves = rounds = 0
    whole = 0.0
    while rounds < 10 * ROUNDS or halves <= 2 * ROUNDS:
        origin = prepared(tmp_path / "origin.db", range(1, 1501))
        before = state_of(origin)
        ended = copied(origin, tmp_path / "ended.db")
        began = time.monotonic()
        assert forked(partial(prune_and_compact, ended)) == 0
        whole = whole or time.monotonic() - began
        after = state_of(ended)
        for _ in range(2):
            assert killed_after(moments.uniform(0, whole), partial(again_and_again, origin))
            state = between(before, after, origin)
            halves += state not in (before, after)
            # The clock only tells where to begin: how fast the machine is changes while this runs.
            whole *= 0.9 if state == after else 1.1 if state == before else 1
        prune_and_compact(origin)
        assert state_of(origin) == after
        origin.unlink()
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
        with raw(path) as reader:  # keeps every checkpoint from the file, so that the -wal holds all that was done
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
