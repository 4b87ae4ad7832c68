"""Create, dump and load usage data for tests. This module does not need pytest."""

from __future__ import annotations

import json
import logging
import random
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peewee

from usage_store.engines import engine_of, unwrap
from usage_store.errors import ConfigurationError, DamagedSnapshot
from usage_store.models import MODELS, UsageConfig, UsageSession, UsageSnapshot
from usage_store.models.fields.column_types import NotUtf8

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

__all__ = ["Seeded", "dump_usage", "load_usage", "seed_usage"]

logger = logging.getLogger("usage_store")

_FORMAT = 1
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
    with _writing(database):
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


def dump_usage(database: peewee.Database | peewee.DatabaseProxy, path: str | os.PathLike[str]) -> None:
    """Write all sessions, configurations and snapshots to a JSON file. The database is only read.

    A row with a text that cannot be read or is not UTF-8 is left out, and one warning names all such rows.
    """
    left_out: list[str] = []
    with database.bind_ctx(MODELS, bind_refs=False, bind_backrefs=False), database.atomic():
        tables = {model._meta.table_name: list(_rows(model, left_out)) for model in MODELS}
    if left_out:
        logger.warning("%s: left out rows that cannot be read: %s", path, ", ".join(left_out))
    text = json.dumps({"format": _FORMAT, **tables}, indent=1)
    Path(path).write_text(text + "\n", encoding="utf-8")


@contextmanager
def _writing(database: peewee.Database | peewee.DatabaseProxy) -> Iterator[None]:
    write_transaction = engine_of(database).write_transaction(unwrap(database))
    with database.bind_ctx(MODELS, bind_refs=False, bind_backrefs=False), write_transaction:
        yield


def _rows(model: type[peewee.Model], left_out: list[str]) -> Iterator[dict[str, Any]]:
    columns = {field.name: field.column_name for field in model._meta.sorted_fields}
    key: Any = model._meta.primary_key
    for stored in model.select().order_by(key).iterator():
        try:
            row = {column: getattr(stored, column) for column in columns.values()}
        except DamagedSnapshot:
            row = {}
        if row and not any(isinstance(value, NotUtf8) for value in row.values()):
            yield row
        else:
            left_out.append(f"{model._meta.table_name} {stored.get_id()!r}")


def load_usage(database: peewee.Database | peewee.DatabaseProxy, path: str | os.PathLike[str]) -> None:
    """Replace all usage data of a migrated database by the content of a file that `dump_usage` wrote. Ids are kept.

    Everything is replaced in one transaction. Raises ConfigurationError if the file is not such a file.
    """
    try:
        fixture = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigurationError(f"{path}: not a JSON fixture ({error})") from None
    if not isinstance(fixture, dict) or fixture.get("format") != _FORMAT:
        raise ConfigurationError(f"{path}: not a file of dump_usage(): its format is not {_FORMAT}")
    for model in MODELS:
        table, columns = model._meta.table_name, model._meta.columns.keys()
        rows = fixture.get(table)
        if not isinstance(rows, list) or not all(isinstance(row, dict) and row.keys() <= columns for row in rows):
            raise ConfigurationError(f"{path}: {table} is not a list of rows with the columns {', '.join(columns)}")
    with _writing(database):
        for model in reversed(MODELS):
            model.delete().execute()
        for model in MODELS:
            for row in fixture[model._meta.table_name]:
                # AsIs passes each value to the database unchanged, and the database checks it.
                model.insert({name: peewee.AsIs(value, converter=False) for name, value in row.items()}).execute()
