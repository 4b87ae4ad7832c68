"""Fill the tables of any database with made-up rows, to test its migrations and queries with rows."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from usage_store.engines import connected, engine_of, unwrap
from usage_store.errors import CannotFill, ConfigurationError
from usage_store.migrate.record.find_log import is_history, is_log

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    import peewee

# The package makes the rows of these tables from those of other tables.
_COMPUTED = ("usage_sessions_ended", "usage_snapshot_blocks", "usage_store_state")


def fill(
    database: peewee.Database | peewee.DatabaseProxy,
    rows: int = 3,
    values: Mapping[str, Any] | None = None,
    *,
    seed: int = 1,
    tables: Collection[str] | None = None,
) -> dict[str, int]:
    """Add `rows` rows to each table of a database, and return how many rows were added to each table.

    The rows obey all rules of the tables: types, NOT NULL, CHECK, UNIQUE, foreign keys and triggers. Each column that
    may be NULL is NULL in at least one row, if there are enough rows. Values repeat where no rule forbids it. A table
    gets fewer rows if its keys have no more room, for example because of `CHECK (id = 1)`. The same arguments add the
    same rows to the same schema; another `seed` gives other values. All is written in one transaction.

    `values` gives the values of columns: `{"table.column": value}`. A list gives its values in turn. A function gets
    the number of the row, from 1, and returns its value. Without `tables`, all tables are filled except those in which
    this package keeps its own records. Views and virtual tables are left alone. Rows of a table that is not filled
    can be a parent.

    Raises CannotFill if the database accepts no row of a table. The error names the table, a column and the reason.
    Raises ConfigurationError for wrong arguments. Nothing is written in both cases.
    """
    if not isinstance(rows, int) or isinstance(rows, bool) or rows < 1:
        raise ConfigurationError(f"fill() needs a whole number of rows, 1 or more, not {rows!r}")
    if not isinstance(seed, int):
        raise ConfigurationError(f"fill() needs a whole number as seed, not {seed!r}")
    if values is not None and not isinstance(values, Mapping):
        raise ConfigurationError(f"fill() needs values as {{'table.column': value}}, not {values!r}")
    if isinstance(tables, str):
        raise ConfigurationError(f"fill() needs a list of tables, not the text {tables!r}; write tables=[{tables!r}]")
    found = unwrap(database)
    with connected(found):
        engine = engine_of(found)
        every = {**_values_of_ours(found), **({} if values is None else values)}
        given = {name: [_stored(name, each) for each in _listed(name, value, rows)] for name, value in every.items()}
        histories = [name for name in engine.tables_with(found, "applied_at") if is_history(found, name)]
        logs = [name for name in engine.tables_with(found, "logged_at") if is_log(found, name)]
        leave = [*histories, *logs, *_COMPUTED]
        return engine.filling.fill_tables(found, rows, given, seed=seed, tables=tables, leave=leave)


def _values_of_ours(database: peewee.Database) -> dict[str, Any]:
    """Return JSON for the texts of usage snapshots, because the table has no rule that asks for it."""
    if "snapshot_data" not in {column.name for column in database.get_columns("usage_snapshots")}:
        return {}
    return {"usage_snapshots.snapshot_data": lambda number: json.dumps({"tokens": (number + 1) // 2})}


def _listed(name: str, value: Any, rows: int) -> Sequence[Any]:
    if callable(value):
        return [_called(name, value, number) for number in range(1, rows + 1)]
    if not isinstance(value, list | tuple):
        return [value]
    if not value:
        raise ConfigurationError(f"values: the list for {name!r} is empty; give at least one value")
    return value


def _called(name: str, function: Callable[[int], Any], number: int) -> Any:
    try:
        return function(number)
    except (Exception, SystemExit) as error:
        table, _, column = name.rpartition(".")
        reason = f"the function for row {number} raised {type(error).__name__}: {error}"
        raise CannotFill(table, column, reason) from error


def _stored(name: str, value: Any) -> Any:
    """Return a value in a form that Peewee stores in each database."""
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    if isinstance(value, uuid.UUID):
        return value.hex
    if isinstance(value, dt.datetime | dt.date | dt.time | decimal.Decimal):
        return str(value)
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value)
    raise ConfigurationError(f"values: {name!r} has a value of type {type(value).__name__}, which no column can store")
