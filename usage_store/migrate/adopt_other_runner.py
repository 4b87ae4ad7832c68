"""Copy the history of another migration tool into this runner's history table. No migration is run."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Literal

import peewee

from usage_store.engines import engine_of
from usage_store.errors import ConfigurationError, HistoryError, MissingMigration
from usage_store.migrate.record.which_to_run import find_problems

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from usage_store.migrate.files.migration import Migration
    from usage_store.migrate.record.files_history_and_log import Records

logger = logging.getLogger("usage_store.migrate")


@dataclass(frozen=True, slots=True)
class _Keeper:
    """How another tool stores its history: the table, its column of times, and the zone of times without a zone.

    `naive` is that zone. None means local time.
    """

    table: str
    time: str
    naive: tzinfo | None


_KEEPERS = {
    "playhouse": _Keeper("schema_migration", "applied", None),
    "peewee_migrate": _Keeper("migratehistory", "migrated_at", UTC),
}
HISTORIES = tuple(keeper.table for keeper in _KEEPERS.values())  # by their usual names


def adopt(
    records: Records,
    source: Literal["playhouse", "peewee_migrate"],
    table: str | None,
    wait: float,
    on_wait: Callable[[str], None],
) -> tuple[Migration, ...]:
    """Record the migrations that the other tool applied as applied, in one transaction.

    Returns them, lowest version first. `table` is the history table of the other tool. That table is only read. Each
    name in it must be the name of a file in the runner's directory. If a name has several rows, the first row counts.
    Times are converted to seconds, UTC. A time without a zone is local time in playhouse (`datetime.now`) and UTC in
    peewee_migrate (`utcnow` before version 2.0; later versions write the zone). Each file is logged as a stamp.

    If an error is raised, nothing was changed. Raises ConfigurationError if the table does not exist, RegistryError
    for files that cannot be ordered, and HistoryError for a row without a file, for a pending file below an applied
    one, and if this runner's history table is not empty.
    """
    if source not in _KEEPERS:
        raise ConfigurationError(f"{source!r}: its history cannot be adopted; allowed: {', '.join(_KEEPERS)}")
    keeper = _KEEPERS[source]
    if table is not None:
        keeper = replace(keeper, table=table)
    files = records.files()
    with records.alone(wait, on_wait), records.engine.write_transaction(records.database):
        _require_empty(records)
        adopted = _matched(files, _times(records.database, keeper), keeper)
        if adopted:
            records.stamp(adopted)
    for migration in adopted:
        logger.info("adopted %s", migration)
    return adopted


def not_adopted(records: Records, files: Sequence[Migration]) -> list[HistoryError]:
    """Return an error for each history of another tool that records some of these files. Reads only.

    Without this error, a runner with an empty history would run these files a second time.
    """
    names = {str(file) for file in files}
    found = []
    for source, keeper in _KEEPERS.items():
        columns = {column.name for column in records.database.get_columns(keeper.table)}
        if columns.issuperset(("id", "name", keeper.time)):
            other = peewee.Table(keeper.table).bind(records.database)
            ran = [name for (name,) in other.select(other.c.name).order_by(other.c.id).tuples() if name in names]
            if ran:
                found.append(
                    HistoryError(
                        f"{keeper.table} records that {source} has run {ran[-1]}; `usage-store migrate adopt {source}` "
                        "takes over that history, so that nothing runs again"
                    )
                )
    return found


def _require_empty(records: Records) -> None:
    applied = records.history.applied()
    if applied:
        raise HistoryError(
            f"{records.history.table_name} already records {applied[0]}, and only an empty history table can adopt "
            "another history; name another table with --table"
        )


def _times(database: peewee.Database, keeper: _Keeper) -> dict[str, int]:
    """Return the time at which each name was first applied, in seconds, UTC."""
    if engine_of(database).kind_of(database, keeper.table) is None:
        raise ConfigurationError(f"{keeper.table}: no such table; name the history to adopt with --from-table")
    columns = {column.name for column in database.get_columns(keeper.table)}
    wanted = ("id", "name", keeper.time)
    if not columns.issuperset(wanted):
        raise HistoryError(
            f"{keeper.table}: not the history to adopt: it has the columns {', '.join(sorted(columns))}, and needs "
            f"{', '.join(wanted)}; name the right table with --from-table"
        )
    other = peewee.Table(keeper.table).bind(database)
    times: dict[str, int] = {}
    for name, time in other.select(other.c.name, other.c[keeper.time]).order_by(other.c.id).tuples():
        times.setdefault(name, _seconds(name, time, keeper))
    return times


def _seconds(name: str, time: str | datetime, keeper: _Keeper) -> int:
    try:
        moment = time if isinstance(time, datetime) else datetime.fromisoformat(time)  # drivers give one or the other
        if moment.tzinfo is None and keeper.naive is not None:
            moment = moment.replace(tzinfo=keeper.naive)
        return int(moment.timestamp())
    except (TypeError, ValueError, OverflowError):
        raise HistoryError(
            f"{keeper.table}: in the row of {name}, {keeper.time} is {time!r}, which is not a time; correct that row"
        ) from None


def _matched(files: Sequence[Migration], times: Mapping[str, int], keeper: _Keeper) -> tuple[Migration, ...]:
    by_name = {str(file): file for file in files}
    for name in times:
        if name not in by_name:
            raise MissingMigration(
                f"{keeper.table} records {name}, but there is no {name}.py; restore the file, name its folder with "
                f"--directory, or, if the file was renamed, correct the name in {keeper.table}"
            )
    adopted = tuple(file._replace(applied_at=times[str(file)]) for file in files if str(file) in times)
    problems = find_problems(files, adopted)
    if problems:
        raise problems[0]
    return adopted
