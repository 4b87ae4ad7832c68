"""Write made-up usage data into a database."""

from __future__ import annotations

import random
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from usage_store.errors import ConfigurationError
from usage_store.models import UsageConfig, UsageSession, UsageSnapshot
from usage_store.testing.one_transaction import one_transaction

if TYPE_CHECKING:
    from collections.abc import Mapping

    import peewee

_MODELS = ("claude-sonnet-4-20250514", "claude-opus-4-20250514")


@dataclass(frozen=True, slots=True)
class Seeded:
    """The data that `seed_usage` wrote: session ids, changed configuration fields, and snapshots, oldest first."""

    sessions: tuple[str, ...]
    config: Mapping[str, Any]
    snapshots: tuple[Mapping[str, Any], ...]


def seed_usage(
    database: peewee.Database | peewee.DatabaseProxy,
    *,
    sessions: int = 3,
    snapshots: int = 100,
    days: float = 7,
    seed: int = 1,
    now: float | None = None,
) -> Seeded:
    """Write sessions, a configuration and snapshots into a migrated database, and return what was written.

    `snapshots` is the total number of snapshots. Their times are spread over the last `days` before `now` (seconds,
    UTC; default: the current time). The counters of a session only grow, as those of a monitor do. The same arguments
    write the same data. Everything is written in one transaction. Raises ConfigurationError for wrong arguments.
    """
    if sessions < 1 or snapshots < 0 or days <= 0:
        raise ConfigurationError("seed_usage needs sessions >= 1, snapshots >= 0 and days > 0")
    chance = random.Random(seed)  # noqa: S311  test data
    end = int(time.time() if now is None else now)
    ids = tuple(str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(sessions))
    config = {
        "plan": chance.choice(("pro", "max5", "max20")),
        "view": chance.choice(("realtime", "daily", "monthly")),
        "timezone": "UTC",
        "refresh_rate": chance.randint(1, 60),
        "reset_hour": chance.randint(0, 23),
    }
    rows = tuple(_snapshots(chance, ids, snapshots, end - int(days * 86_400), end))
    with one_transaction(database):
        for session_id in ids:
            UsageSession.register(session_id)
        UsageConfig.update_active(config)
        UsageSnapshot.record_many(rows, ahead=True)
    return Seeded(ids, config, rows)


def _snapshots(
    chance: random.Random, sessions: tuple[str, ...], count: int, start: int, end: int
) -> list[dict[str, Any]]:
    totals = {session_id: {"input_tokens": 0, "output_tokens": 0, "messages": 0} for session_id in sessions}
    rows = []
    for timestamp in sorted(chance.randrange(start, end) for _ in range(count)):
        session_id = chance.choice(sessions)
        total = totals[session_id]
        total["input_tokens"] += chance.randint(1, 2_000)
        total["output_tokens"] += chance.randint(1, 800)
        total["messages"] += 1
        cost = round(total["input_tokens"] * 3e-6 + total["output_tokens"] * 15e-6, 6)
        rate = round(chance.uniform(20, 900), 3)
        data = {
            "current_session": {"id": session_id, "is_active": True, "token_counts": dict(total), "cost_usd": cost},
            "burn_rate": {"tokens_per_minute": rate, "cost_per_hour": round(rate * 60 * 9e-6, 6)},
            "models": [chance.choice(_MODELS)],
        }
        rows.append({"session_id": session_id, "snapshot_data": data, "snapshot_type": "stats", "timestamp": timestamp})
    return rows
