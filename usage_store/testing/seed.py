"""Write made-up usage data into a database, as a monitor writes it."""

from __future__ import annotations

import math
import random
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peewee import SQL, chunked

from usage_store.engines import unwrap
from usage_store.errors import ConfigurationError
from usage_store.models import UsageConfig, UsageSession
from usage_store.models.fields import snapshot_input
from usage_store.models.storage_interface import storage_of
from usage_store.testing.one_transaction import one_transaction
from usage_store.testing.seeding.arrival import ANOMALIES, arranged
from usage_store.testing.seeding.blocks import Block, planned
from usage_store.testing.seeding.counters import in_dollars
from usage_store.testing.seeding.rows import written
from usage_store.testing.seeding.statistics import Monitor, block_id, texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import peewee

_MILLISECONDS = 10**11  # a number of this size is no longer taken for seconds
_CHANGES = 0.4  # of the snapshots; the others repeat the one before


@dataclass(frozen=True, slots=True)
class SeededBlock:
    """The true totals of a block of five hours.

    `start` and `end` are seconds, UTC. `cost_usd` is in dollars. `per_model` is what a snapshot has as
    `per_model_stats`. `session_ids` are the sessions whose snapshots were written while the block was the current one.

    Most ended blocks have one more message after their last snapshot. Later snapshots count that message in
    `recent_sessions`, and the totals count it, too.
    """

    id: str
    start: int
    end: int
    session_ids: tuple[str, ...]
    input_tokens: int
    output_tokens: int
    cache_creation_tokens: int
    cache_read_tokens: int
    cost_usd: float
    messages: int
    per_model: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Seeded:
    """The data that `seed_usage` wrote.

    `sessions` are the session ids, `config` the changed configuration fields, and `snapshots` the snapshots in the
    order in which they were written. Snapshots share equal parts, so do not change them.

    `blocks` are the true totals of the blocks for which snapshots were written, oldest first. `earlier_blocks` are the
    blocks that occur only in `recent_sessions`. `anomalies` says for each anomaly which snapshots show it, by their
    positions in `snapshots`.
    """

    sessions: tuple[str, ...]
    config: Mapping[str, Any]
    snapshots: tuple[Mapping[str, Any], ...]
    blocks: tuple[SeededBlock, ...]
    earlier_blocks: tuple[SeededBlock, ...]
    anomalies: Mapping[str, tuple[int, ...]]


def seed_usage(
    database: peewee.Database | peewee.DatabaseProxy,
    *,
    sessions: int = 3,
    snapshots: int = 100,
    days: float = 7,
    seed: int = 1,
    now: float | None = None,
    anomalies: Iterable[str] = (),
) -> Seeded:
    """Write sessions, a configuration and snapshots into a migrated database, and return what was written.

    `snapshots` is the total number of snapshots. Their times are spread over the last `days` before `now` (seconds,
    UTC; default: the current time). A snapshot has the statistics of a monitor: the current block of five hours, the
    blocks of the last 96 hours, and the gaps between them. Six of ten snapshots repeat the one before. The counters of
    a block only grow. The same arguments write the same data.

    `anomalies` are any of these words. "late": a snapshot arrives after newer ones, minutes later. "reset": the
    counters of a block fall to zero. "out_of_order": a snapshot is written just after a newer one. "cut": the oldest
    block loses its messages that are older than 96 hours.

    Everything is written in one transaction. Raises ConfigurationError for wrong arguments, and if there are too few
    snapshots to show an anomaly.
    """
    start, end = _checked_times(days, time.time() if now is None else now)
    if sessions < 1 or snapshots < 0:
        raise ConfigurationError("seed_usage needs sessions >= 1, snapshots >= 0 and days > 0")
    wanted = _checked(anomalies)
    chance = random.Random(seed)  # noqa: S311  test data
    ids = tuple(str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(sessions))
    plan = chance.choice(("pro", "max5", "max20"))
    config = {
        "plan": plan,
        "view": chance.choice(("realtime", "daily", "monthly")),
        "timezone": "UTC",
        "refresh_rate": chance.randint(1, 60),
        "reset_hour": chance.randint(0, 23),
    }
    changes = max(1, round(snapshots * _CHANGES)) if snapshots else 0
    blocks = planned(chance, start, end, changes, daily="cut" in wanted)
    monitor = Monitor(chance, blocks, plan, resets="reset" in wanted, cut="cut" in wanted)
    made = written(chance, monitor, blocks, ids, snapshots, end)
    order = arranged(chance, made, wanted)
    missing = [word for word in wanted if not made.anomalies[word]]
    if missing:
        raise ConfigurationError(f"too few snapshots for the anomaly {missing[0]}: snapshots={snapshots}, days={days}")
    rows = tuple(made.rows[number] for number in order)
    with one_transaction(database):
        UsageSession.register_many(ids)
        UsageConfig.update_active(config)
        _insert(unwrap(database), rows)
        _set_times(ids, start)
    place = {number: position for position, number in enumerate(order)} if wanted else {}
    shown = {word: tuple(sorted(place[number] for number in made.anomalies[word])) for word in wanted}
    totals = [(block, _totals(block, made.sessions[block.start])) for block in blocks]
    return Seeded(
        ids,
        config,
        rows,
        tuple(total for block, total in totals if block.changes),
        tuple(total for number, (block, total) in enumerate(totals) if not block.changes and number in monitor.listed),
        shown,
    )


def _checked_times(days: float, now: float) -> tuple[int, int]:
    """Return the first second and the end of the data."""
    if not 0 < days < math.inf:
        raise ConfigurationError("seed_usage needs sessions >= 1, snapshots >= 0 and days > 0")
    if not 0 <= now < _MILLISECONDS or days * 86_400 > now:
        raise ConfigurationError(f"now={now} must be in seconds, and days={days} before it must be after 1969")
    return int(now) - max(1, int(days * 86_400)), int(now)


def _checked(anomalies: Iterable[str]) -> tuple[str, ...]:
    allowed = f"allowed are {', '.join(ANOMALIES)}"
    if isinstance(anomalies, str):
        raise ConfigurationError(f"anomalies: {anomalies!r} is not a list of words; {allowed}")
    words = list(anomalies)
    for word in words:
        if word not in ANOMALIES:
            raise ConfigurationError(f"anomalies: {word!r} is unknown; {allowed}")
    return tuple(word for word in ANOMALIES if word in words)


def _insert(database: peewee.Database, rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert rows without the checks of `record_many`. The database checks the texts and the sessions again."""
    columns = (
        (row["session_id"], text, text, row["snapshot_type"], row["timestamp"])
        for row, text in zip(rows, texts(rows), strict=True)
    )
    for batch in snapshot_input.batches(columns):
        storage_of(database).insert_many(database, batch)


def _set_times(ids: Iterable[str], start: int) -> None:
    """Set the times that the database has set to now, so that the same arguments write the same bytes."""
    UsageConfig.update(created_at=start, updated_at=start).where(SQL("is_active = 1")).execute()
    for some in chunked(ids, 500):
        UsageSession.update(created_at=start).where(UsageSession.session_id.in_(some)).execute()


def _totals(block: Block, sessions: Iterable[str]) -> SeededBlock:
    sent, received, created, read, messages, cost = block.used.totals()
    return SeededBlock(
        id=block_id(block.start * 1_000),
        start=block.start,
        end=block.end,
        session_ids=tuple(sessions),
        input_tokens=sent,
        output_tokens=received,
        cache_creation_tokens=created,
        cache_read_tokens=read,
        cost_usd=in_dollars(cost),
        messages=messages,
        per_model=block.used.per_model(),
    )
