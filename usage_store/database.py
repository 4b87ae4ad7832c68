"""Bind the usage models to a database, and unbind them again."""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, Unpack, overload

from usage_store.bind_models import (
    bind,
    bind_again,
    binding,
    close_all,
    in_transaction,
    is_connected,
    is_initialised,
    one_block,
    prepare,
    unbind,
)
from usage_store.engines import engine_of, inner, is_database, open_database, unwrap
from usage_store.engines.interface.paths_and_urls import default_target
from usage_store.errors import ConfigurationError, InvalidValue, TransactionOpen
from usage_store.errors.rejected_input import shown
from usage_store.maintenance_after_inserts import Upkeep
from usage_store.migrate import MigrationRunner
from usage_store.migrate_usage_tables import event_triggers, migrate, refuse_pending
from usage_store.models import UsageConfig
from usage_store.models.fields.allowed_values import checked_wait
from usage_store.models.fields.retention_limits import checked_goals
from usage_store.models.storage_interface import storage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import peewee

__all__ = ["bound_database", "close_database", "event_triggers", "init_database", "link_events", "opened"]

D = TypeVar("D", bound="peewee.Database | peewee.DatabaseProxy")
CompactAfter = float | Literal["auto"] | None

_COMPACTED = 7  # days: the default of `compact_after_days` where maintenance was asked for


class Options(TypedDict, total=False):
    """The options of `init_database()` and `opened()`."""

    timeout: float
    wait: float
    retention_days: float | None
    max_bytes: int | None
    compact_after_days: CompactAfter
    mode: int | None
    follow_events: bool
    readonly: bool


# The overload with a DatabaseProxy is first, because a type checker would also accept a DatabaseProxy as a path.
@overload
def init_database(database: D, **options: Unpack[Options]) -> D: ...


@overload
def init_database(database: str | os.PathLike[str] | None = None, **options: Unpack[Options]) -> peewee.Database: ...


def init_database(
    database: str | os.PathLike[str] | peewee.Database | peewee.DatabaseProxy | None = None,
    *,
    timeout: float = 5,
    wait: float = 30,
    retention_days: float | None = None,
    max_bytes: int | None = None,
    compact_after_days: CompactAfter = "auto",
    mode: int | None = None,
    follow_events: bool = True,
    readonly: bool = False,
) -> peewee.Database | peewee.DatabaseProxy:
    """Open a database, run its pending migrations, bind the usage models to it, and return it.

    `database` is one of these:

    - A path or a `sqlite:///` URL. The file is created if it is missing. In a path, a leading `~/` or `~user/` is a
      home folder; in a URL it is not. The connections use WAL, foreign keys and synchronous NORMAL. The database is
      returned closed and connects when it is used. (One in memory stays open.)
    - A `postgresql://` URL of a database that exists, with `?schema=NAME` for another schema than the first one of the
      search path. Neither the database nor the schema is created. It is returned closed, too.
    - None: the path or URL in `$USAGE_STORE_DATABASE`, or else `usage.db` in the current folder.
    - A Peewee Database or DatabaseProxy. It keeps its settings, and it is closed again if it was closed and is not in
      memory. A proxy without a database is bound now and migrated when it is initialised.

    `timeout` is how many seconds a statement waits for a lock; a database object keeps its own timeout. `wait` is how
    many seconds a migration waits for another process. `mode`, such as 0o600, are the permissions of a file that is
    created now and of the files beside it; a file that exists keeps its own. A host's `events` table is followed:
    missing triggers on it are created. With `follow_events=False` no triggers are created, and triggers that exist
    stay.

    With `retention_days`, `max_bytes` or a number as `compact_after_days`, inserts do the work of `maintain()`, one
    transaction of about 10 ms at a time. "auto" compacts snapshots that are 7 days old if `retention_days` or
    `max_bytes` is set, and otherwise nothing. None never compacts.

    `readonly=True` opens a path or URL for reading: no file is created, nothing is migrated, and a write raises
    ReadOnlyDatabase. Pending migrations raise MigrationsPending.

    `with init_database(...) as db:` is Peewee's own block: it connects, runs the block in one transaction, and closes.
    Use `with opened(...) as db:` to be connected for a block without a transaction.

    Raises UsageStoreError. Then the models stay bound to the database that they were bound to before, and no new
    connection stays open.
    """
    checked_wait("timeout", timeout)
    checked_wait("wait", wait)
    wanted = _maintenance(retention_days, max_bytes, compact_after_days)
    if readonly:
        _refuse_readonly_with(database, mode=mode, maintenance=wanted is not None)
    make_ready = refuse_pending if readonly else partial(migrate, wait=wait, follow_events=follow_events)
    given: Any = database
    if not is_database(given):
        given = open_database(_target(given), readonly=readonly, timeout=timeout, mode=mode)
        _use_first(given, make_ready)
    elif mode is not None:
        raise ConfigurationError("mode is for a file that init_database() creates; pass a path instead of an object")
    elif is_initialised(given):
        make_ready(given)
        prepare(inner(given))
    waiting = () if is_initialised(given) else (make_ready,)
    bind(given, None if wanted is None else Upkeep(given, *wanted), *waiting, prepare)
    return given  # type: ignore[no-any-return]


def close_database() -> None:
    """Close the database that the usage models are bound to, and unbind the models. Does nothing if none is bound.

    If `init_database()` opened a path or URL, the connections of all threads are closed, except those of threads that
    are in a transaction. If you passed in a database object, the connection of this thread and the idle connections of
    its pool are closed. Call this function when no other thread uses the database.

    Maintenance after inserts ends. The callbacks that `init_database()` added to a DatabaseProxy are removed. Raises
    TransactionOpen inside an open transaction. Then nothing is changed.
    """
    bound = UsageConfig._meta.database
    if bound is None:
        return
    if in_transaction(bound):
        raise TransactionOpen("close_database() cannot run inside a transaction; commit or roll back first")
    try:
        close_all(bound)
    finally:
        unbind()


@overload
def opened(database: D, **options: Unpack[Options]) -> AbstractContextManager[D]: ...


@overload
def opened(
    database: str | os.PathLike[str] | None = None, **options: Unpack[Options]
) -> AbstractContextManager[peewee.Database]: ...


@contextmanager
def opened(database: Any = None, **options: Unpack[Options]) -> Iterator[Any]:
    """Open a database for a block, and close it at the end of the block.

    Write `with opened("usage.db") as db:`. The arguments are those of `init_database()`. The database is connected for
    the block. The block is not a transaction: each statement commits by itself, unless you write `with db.atomic():`.
    At the end, the database is closed as by `close_database()`, and the models are bound again to the database that
    they were bound to before. A database object that was connected before the block stays connected.

    All threads of the process share the binding: in the block, the functions of this package store in this database,
    whichever thread calls them. So the blocks of two threads or asyncio tasks cannot overlap: the second one raises
    ConfigurationError. For each request of a server, use a database that `init_database()` opened when the program
    started.

    Raises UsageStoreError.
    """
    with one_block():
        before, was_connected = binding(), is_database(database) and is_connected(database)
        try:
            found = init_database(database, **options)
            try:
                inner(found).connect(reuse_if_open=True)
                yield found
            finally:
                if not was_connected:
                    close_all(found)
        finally:
            bind_again(before)


def bound_database() -> peewee.Database:
    """Return the database that the usage models are bound to. Raises ConfigurationError if there is none."""
    bound: peewee.Database = unwrap(UsageConfig._db())  # noqa: SLF001  a model of ours
    return bound


def link_events() -> None:
    """Follow a host's `events` table that was created after the usage tables: register its sessions, now and later.

    Does nothing if the table is followed already. Raises ConfigurationError if there is no `events` table with a
    `session_id` column, and ReadOnlyDatabase.
    """
    database = bound_database()
    engine = engine_of(database)
    recording = MigrationRunner(database).records.recording
    with engine.readable_errors(engine.name_of(database)):
        engine.refuse_readonly(database)
        storage_of(database).follow_events.link(database, event_triggers, recording)


def _maintenance(
    retention_days: float | None, max_bytes: int | None, compact_after_days: CompactAfter
) -> tuple[float | None, int | None, float | None] | None:
    """Return the limits for maintenance after inserts, or None for no maintenance.

    Raises InvalidValue and ConfigurationError.
    """
    others = retention_days is not None or max_bytes is not None
    if compact_after_days == "auto":
        compact_after_days = _COMPACTED if others else None
    elif compact_after_days is None and not others:
        raise ConfigurationError(
            "compact_after_days=None leaves nothing to do without retention_days or max_bytes; leave it out"
        )
    elif isinstance(compact_after_days, str):
        raise InvalidValue("compact_after_days", compact_after_days, "a number of days above 0, None or 'auto'")
    if not others and compact_after_days is None:
        return None
    wanted = (retention_days, max_bytes, compact_after_days)
    checked_goals(*wanted)
    return wanted


def _refuse_readonly_with(database: object, *, mode: int | None, maintenance: bool) -> None:
    if is_database(database):
        raise ConfigurationError("readonly=True opens a path or a URL; a database object is opened as you made it")
    if mode is not None:
        raise ConfigurationError("readonly=True creates no file, so it takes no mode")
    if maintenance:
        raise ConfigurationError(
            "readonly=True writes nothing, so it takes no retention_days, max_bytes or compact_after_days"
        )


def _use_first(database: peewee.Database, make_ready: Callable[[peewee.Database], None]) -> None:
    """Prepare a database that was just opened. It is closed at the end, unless it is in memory."""
    keep_open = False
    try:
        make_ready(database)
        prepare(database)
        keep_open = engine_of(database).is_in_memory(database)
    finally:
        if not keep_open:
            database.close()


def _target(database: object) -> str:
    """Return the path or URL to open. Raises ConfigurationError for a value that is neither."""
    target = os.fspath(database) if isinstance(database, os.PathLike) else database
    if target is None:
        return default_target()
    if isinstance(target, bytes):
        raise ConfigurationError(f"{target!r} is bytes, and a path is a str; os.fsdecode() makes a str of it")
    if not isinstance(target, str):
        raise ConfigurationError(
            "init_database() takes a path, a sqlite:/// or postgresql:// URL, a peewee.Database or a "
            "peewee.DatabaseProxy, not "
            f"{shown(target)}"
        )
    return target
