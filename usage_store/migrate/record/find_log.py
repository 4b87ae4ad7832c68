"""Find the log table of a history table. Until the next run, a log may have a name by an older rule."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from usage_store.engines import engine_of
from usage_store.errors import HistoryError
from usage_store.migrate.files.migration import alike
from usage_store.migrate.files.migrations_folder import COMMON

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import peewee

HISTORY = {"version": "int", "name": "text", "applied_at": "int"}  # the columns, and what they hold
LOG = {
    **dict.fromkeys(("id", "version", "logged_at"), "int"),
    **dict.fromkeys(("name", "action", "checksum", "fingerprint"), "text"),
    "seconds": "float",
    "source": "bytes",
}
_ENDING = "_log"


def log_name(history: str) -> str:
    """Return the name of the log of a history table. No two history tables have the same one.

    The log of `schema_migrations` is `schema_migration_log`, as always. A history table called `schema_migration`
    would have the same name for its log, so its log is `schema_migrations_log`.
    """
    if history.lower() == COMMON:
        return history[:-1] + _ENDING
    return f"{history}s{_ENDING}" if f"{history}s".lower() == COMMON else history + _ENDING


def _old_name(history: str) -> str:
    """Return the name of a log by the older rule, which gave the histories `job` and `jobs` the same log."""
    return history.removesuffix("s") + _ENDING


def find_log(database: peewee.Database, history: str) -> str | None:
    """Return the name of the table that is now the log of a history, or None. Reads only.

    A log with a name by the older rule belongs to this history if two things are true: the last line of each version
    in the log agrees with this history, and it does not agree with the history that owns this name by the current rule.
    """
    names = dict.fromkeys((log_name(history), _old_name(history)))
    return next((log for log in names if is_log(database, log) and _is_its(database, log, history)), None)


def require_free(database: peewee.Database, history: str) -> None:
    """Raise HistoryError if something else than a log has the name of a history's log. Reads only."""
    log = log_name(history)
    if engine_of(database).kind_of(database, log) is not None and not is_log(database, log):
        columns = ", ".join(sorted(column.name.lower() for column in database.get_columns(log)))
        raise HistoryError(
            f"{log}: the log of {history} needs this name, but it is something else, with the columns {columns}; "
            "choose another history table with --table"
        )


def rename_to_rule(database: peewee.Database, history: str) -> None:
    """Rename the log of a history by the current rule. If another log has that name, that log is renamed first."""
    name, engine = log_name(history), engine_of(database)
    if is_log(database, name) and not _is_its(database, name, history):
        other = next(each for each in _older_owners(name) if _claims(database, name, each))
        engine.rename_table(database, name, log_name(other))
    found = find_log(database, history)
    if found not in (None, name):
        engine.rename_table(database, found, name)


def left_log(database: peewee.Database, history: str) -> str | None:
    """Return a notice if a log with a name by the older rule is not read for this history, else None. Reads only."""
    name, old = log_name(history), _old_name(history)
    found = find_log(database, history)
    if old in (name, found) or not is_log(database, old) or not is_history(database, history):
        return None
    if found is None and _rows(database, history):
        return (
            f"{old} does not agree with {history}, or is the log of another history, so it is not used: edits of "
            f"applied migrations are not found, and the next run starts a new log, {name}"
        )
    if found is not None and not is_history(database, _present_owner(old)):
        return f"{old} is not read, since {name} is the log of {history}; an older version may have written to it"
    return None


def is_history(database: peewee.Database, table: str) -> bool:
    """Return whether a name is a table with the columns of a history. Reads only."""
    return _is_table_with(database, table, HISTORY)


def is_log(database: peewee.Database, table: str) -> bool:
    """Return whether a name is a table with the columns of a log. Reads only."""
    return _is_table_with(database, table, LOG)


def _is_table_with(database: peewee.Database, table: str, columns: dict[str, str]) -> bool:
    once = once_of(database)
    if once is not None:
        return table in (once.logs if columns is LOG else once.histories)
    # The kind is checked too, because a view also has columns.
    engine = engine_of(database)
    return engine.has_columns(database, table, columns) and engine.kind_of(database, table) == "table"


def _older_owners(log: str) -> list[str]:
    """Return the histories that own a log of this name by the older rule and not by the current rule."""
    base = log.removesuffix(_ENDING)
    return [each for each in (base, f"{base}s") if _old_name(each) == log != log_name(each)]


def _present_owner(log: str) -> str:
    base = log.removesuffix(_ENDING)
    return next(each for each in (f"{base}s", base.removesuffix("s"), base) if log_name(each) == log)


def _is_its(database: peewee.Database, log: str, history: str) -> bool:
    if log == log_name(history):
        return not any(_claims(database, log, each) for each in _older_owners(log)) or _agrees(database, log, history)
    return _claims(database, log, history) and not _agrees(database, log, _present_owner(log))


def _claims(database: peewee.Database, log: str, history: str) -> bool:
    """Return whether this log agrees with the history, and the history has no log under its current name."""
    return _agrees(database, log, history) and engine_of(database).kind_of(database, log_name(history)) is None


def _agrees(database: peewee.Database, log: str, history: str) -> bool:
    """Return whether the last line of each version agrees with the history.

    It agrees if the history records the version under the same name, or does not record it after a `down`.
    """
    if not is_history(database, history):
        return False
    applied = _rows(database, history)
    lines = database.execute_sql(f'SELECT version, name, action FROM "{log}" ORDER BY id').fetchall()  # noqa: S608
    last = {version: None if action == "down" else name for version, name, action in lines}
    return all(_same(name, applied.get(version)) for version, name in last.items())


def _rows(database: peewee.Database, history: str) -> dict[object, object]:
    return dict(database.execute_sql(f'SELECT version, name FROM "{history}"').fetchall())  # noqa: S608


def _same(name: object, other: object) -> bool:
    return alike(name, other) if isinstance(name, str) and isinstance(other, str) else name == other


class Once:
    """What was read in the block: which tables have the columns of a history, of a log, and of a log with DDL."""

    def __init__(self, database: peewee.Database) -> None:
        self.database = database
        found = engine_of(database).tables_having(database, HISTORY, LOG, {**LOG, "ddl": "text"})
        self.histories, self.logs, self.with_ddl = found
        self._answers: dict[str, Sequence[Any]] = {}

    def ask(self, sql: str) -> Sequence[Any]:
        """Return the rows of a query, which runs only the first time."""
        if sql not in self._answers:
            self._answers[sql] = self.database.execute_sql(sql).fetchall()
        return self._answers[sql]


_ONCE: ContextVar[Once | None] = ContextVar("_ONCE", default=None)


@contextmanager
def read_once(database: peewee.Database) -> Iterator[None]:
    """Read the history and the log of a database on a server once for all questions of the block.

    A server takes a round trip for each query; a file is read as before. Nothing may change them in the block.
    """
    token = _ONCE.set(Once(database) if engine_of(database).ON_A_SERVER else None)
    try:
        yield
    finally:
        _ONCE.reset(token)


def once_of(database: peewee.Database) -> Once | None:
    """Return what was read in the block of `read_once()`, or None outside such a block."""
    once = _ONCE.get()
    return once if once is not None and once.database is database else None
