"""Give a SQLite table another definition under the same name, without losing anything.

The steps are those of sqlite.org/lang_altertable.html#otheralter: make the new table, copy the rows, drop the old
table, rename the new one, make the indexes and triggers again. The runner does the first and the last step: foreign
keys off before BEGIN, and foreign_key_check before COMMIT.
"""

from __future__ import annotations

import logging
import shutil
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peewee

from usage_store.engines.sqlite.connection.driver import main_file
from usage_store.engines.sqlite.connection.error_messages import is_damage, is_disk_failure, is_locked
from usage_store.engines.sqlite.connection.pragma_for_a_block import pragma_set
from usage_store.engines.sqlite.file.free_disk_space import check_disk
from usage_store.engines.sqlite.file.write_transaction import write_transaction
from usage_store.engines.sqlite.schema import sql_tokens
from usage_store.engines.sqlite.schema.announce_rebuild import rebuilding
from usage_store.engines.sqlite.schema.kept_by_a_rebuild import put_back, read_belongings
from usage_store.engines.sqlite.schema.sql_tokens import fold, quoted
from usage_store.engines.sqlite.schema.table_definition import (
    StoredTable,
    columns_of,
    rowid_of,
    stored_table,
    unused_name,
    users_of,
)
from usage_store.errors import ChangeRefused, ImpossibleChange, NotEnoughDisk, RowsDoNotFit

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

logger = logging.getLogger("usage_store.migrate")


def rebuild(
    database: peewee.SqliteDatabase,
    table: str,
    create_sql: str,
    *,
    columns: Mapping[str, str | peewee.Node] | None = None,
    drop: Collection[str] = (),
) -> None:
    """Rebuild a table with the definition `create_sql`, a CREATE TABLE of the same name, and copy its rows.

    Columns are copied by name. For others, `columns` gives SQL over the old row; a new column without it gets its
    default. An old column that is neither kept nor used in that SQL must be named in `drop`. Rowids, indexes, triggers,
    views, the AUTOINCREMENT counter and ANALYZE's statistics stay. Foreign keys must be off.

    Raises ChangeRefused, and changes nothing, if something would be lost or the rows do not fit.
    """
    started = time.perf_counter()
    old = stored_table(database, table)
    if database.pragma("foreign_keys"):
        raise ChangeRefused(
            f"{old.name}: foreign keys are on, and dropping the old table would delete rows that reference it; "
            "PRAGMA foreign_keys = OFF must come before the transaction begins"
        )
    _check_disk_space(database, old)
    new = unused_name(database, f"{old.name}_rebuilt")
    with write_transaction(database):
        belongings = read_belongings(database, old.name)
        _create(database, old.name, new, create_sql)
        rows = _copy(database, old.name, new, _plan(database, old.name, new, columns or {}, drop))
        left = {fold(name) for name in columns_of(database, new)}
        without = [name for name, made in columns_of(database, old.name).items() if not made and fold(name) not in left]
        with rebuilding(database, old.name, new, without):
            _swap(database, old.name, new)
        with _fitting(old.name):  # for example, an index over an expression may fail
            put_back(database, old.name, belongings)
        if _count(database, old.name) != rows:
            raise ChangeRefused(f"{old.name}: the rebuild would not keep all of its {rows} rows")
    logger.debug("rebuilt %s: %d rows in %.1f ms", old.name, rows, (time.perf_counter() - started) * 1000)


def _check_disk_space(database: peewee.SqliteDatabase, table: StoredTable) -> None:
    file = main_file(database)
    if not file:
        return
    folder = Path(file).parent
    size = database.pragma("page_size") * (database.pragma("page_count") - database.pragma("freelist_count"))
    free = shutil.disk_usage(folder).free
    if free < 2 * size:
        with suppress(peewee.OperationalError):  # without dbstat, only the size of the whole database is known
            ((size,),) = database.execute_sql(
                "SELECT sum(pgsize) FROM dbstat('main', 1) "
                "WHERE name IN (SELECT name FROM sqlite_master WHERE tbl_name = ? COLLATE NOCASE)",
                (table.name,),
            ).fetchall()
        try:
            # Twice the size: the new table is written to the -wal or the journal, and the file grows by it.
            check_disk(folder, 2 * size, f"rebuilding {table.name}")
        except NotEnoughDisk as error:
            reason = f"rebuilding {table.name} needs {2 * size:,} bytes free in {folder}; there are {free:,}"
            raise ChangeRefused(reason) from error


def _under_name(create_sql: str, name: str, new: str) -> str:
    every = sql_tokens.tokens(create_sql)
    opening = next((index for index, token in enumerate(every) if token.says("(")), 0)
    made = opening > 2 and every[0].says("create") and every[1].says("table")  # noqa: PLR2004
    if not made or fold(sql_tokens.name_of(every[opening - 1])) != fold(name):
        raise ChangeRefused(f"the new definition of {name} must read CREATE TABLE {quoted(name)} (...)")
    spans = [(every[2].start, every[opening - 1].end, quoted(new))]
    for index in range(opening, len(every) - 1):
        if every[index + 1].says(".") and fold(sql_tokens.name_of(every[index])) == fold(name):
            # CHECK (main.t.a > 0) means CHECK (a > 0), since a CHECK sees no other table. RENAME would not rename it.
            first = every[index - 2 if every[index - 1].says(".") else index]
            spans.append((first.start, every[index + 1].end, ""))
    for start, end, text in reversed(spans):
        create_sql = create_sql[:start] + text + create_sql[end:]
    return create_sql


def _create(database: peewee.SqliteDatabase, old: str, new: str, create_sql: str) -> None:
    create_sql = _under_name(create_sql, old, new)
    try:
        database.execute_sql(create_sql)
    except peewee.OperationalError as error:
        reason = f"{old}: SQLite does not accept its new definition: {str(error).replace(new, old)}"
        raise ImpossibleChange(error.orig, reason) from error  # type: ignore[attr-defined]  # not in peewee's stubs


@dataclass(frozen=True, slots=True)
class _Plan:
    values: Mapping[str, str]  # by new column, the SQL that computes its value from the old row
    parameters: tuple[Any, ...]


def _plan(
    database: peewee.SqliteDatabase,
    old: str,
    new: str,
    columns: Mapping[str, str | peewee.Node],
    drop: Collection[str],
) -> _Plan:
    before, after = columns_of(database, old), columns_of(database, new)
    names = {fold(name): name for name in before}
    given = {fold(name): peewee.SQL(value) if isinstance(value, str) else value for name, value in columns.items()}
    for key in given.keys() - {fold(name) for name, generated in after.items() if not generated}:
        raise ChangeRefused(f"{old}: {key!r} in `columns` is no column of the new table, or a generated one")
    values: dict[str, str] = {}
    parameters: list[Any] = []
    for name, generated in after.items():
        key = fold(name)
        if key in given and not generated:
            values[quoted(name)], bound = database.get_sql_context().sql(given[key]).query()
            parameters += bound
        elif key in names and not generated:
            values[quoted(name)] = quoted(names[key])
    kept = {fold(sql_tokens.name_of(token)) for value in values.values() for token in sql_tokens.tokens(value)}
    _refuse_loss(database, old, new, kept | {fold(name) for name in drop})
    read, written = rowid_of(database, old), rowid_of(database, new)
    alias = _rowid_column(database, new)
    if read and written and (alias is None or quoted(alias) not in values):
        values[written] = read
    return _Plan(values, tuple(parameters))


def _refuse_loss(database: peewee.SqliteDatabase, old: str, new: str, accounted: Collection[str]) -> None:
    before, after = columns_of(database, old), columns_of(database, new)
    staying = {fold(name) for name in after}
    for name, generated in before.items():
        if not generated and fold(name) not in accounted:
            raise ChangeRefused(
                f"{old}: the values of column {name!r} would be lost; to drop the column, name it in `drop`"
            )
        if fold(name) not in staying:
            users = [user for user in users_of(database, old, name) if user not in (f"table {old}", f"table {new}")]
            if users:
                raise ChangeRefused(f"{old}: column {name!r} cannot be dropped; in use by {', '.join(users)}")


def _rowid_column(database: peewee.SqliteDatabase, table: str) -> str | None:
    # A primary key without an index is another name of the rowid (sqlite.org/lang_createtable.html#rowid).
    row = database.execute_sql(
        "SELECT name FROM pragma_table_info(?, 'main') WHERE pk "
        "AND NOT EXISTS (SELECT 1 FROM pragma_index_list(?, 'main') WHERE origin = 'pk')",
        (table, table),
    ).fetchone()
    return row[0] if row else None


def _copy(database: peewee.SqliteDatabase, old: str, new: str, plan: _Plan) -> int:
    rows = _count(database, old)
    if rows and not plan.values:
        raise ChangeRefused(
            f"{old}: neither a column nor the rowid is kept; give values for at least one new column in `columns`"
        )
    if rows:
        # OR ABORT overrides an ON CONFLICT IGNORE or REPLACE in the definition, which would drop rows without an error.
        into, values = ", ".join(plan.values), ", ".join(plan.values.values())
        sql = f"INSERT OR ABORT INTO main.{quoted(new)} ({into}) SELECT {values} FROM main.{quoted(old)}"  # noqa: S608
        with _fitting(old, new):
            database.execute_sql(sql, plan.parameters)
            _check_types(database, old, new)
    return rows


def _check_types(database: peewee.SqliteDatabase, old: str, new: str) -> None:
    """Raise RowsDoNotFit if a generated column of a STRICT table has values of another type.

    INSERT checks all other rules of generated columns, but not their types (seen on SQLite 3.40).
    """
    generated = database.execute_sql(
        "SELECT c.name, c.type FROM pragma_table_list AS t, pragma_table_xinfo(t.name, 'main') AS c "
        "WHERE t.schema = 'main' AND t.name = ? AND t.strict AND c.hidden IN (2, 3)",
        (new,),
    ).fetchall()
    for name, declared in generated:
        type_ = sql_tokens.tokens(declared)[0].text.lower()  # SQLite keeps GENERATED ALWAYS in the type
        stored = "integer" if type_ == "int" else type_
        others = f"SELECT 1 FROM main.{quoted(new)} WHERE typeof({quoted(name)}) NOT IN (?, 'null')"  # noqa: S608
        if type_ != "any" and database.execute_sql(others, (stored,)).fetchone():
            reason = f"{old}.{name} has a value that is no {type_.upper()}"
            raise RowsDoNotFit(f"{old}: its rows do not fit the new definition: {reason}")


@contextmanager
def _fitting(table: str, new: str = "") -> Iterator[None]:
    """Turn SQLite's errors about rows, and about expressions over rows, into RowsDoNotFit."""
    try:
        yield
    except (peewee.IntegrityError, peewee.DataError, peewee.OperationalError) as error:
        if isinstance(error, ChangeRefused) or is_disk_failure(error) or is_locked(error) or is_damage(error):
            raise
        reason = str(error).replace(f"{new}.", f"{table}.") if new else str(error)
        reason = f"{table}: its rows do not fit the new definition: {reason}"
        raise RowsDoNotFit(error.orig, reason) from error  # type: ignore[union-attr]  # not in peewee's stubs


def _count(database: peewee.SqliteDatabase, table: str) -> int:
    ((rows,),) = database.execute_sql(f"SELECT count(*) FROM main.{quoted(table)}").fetchall()  # noqa: S608
    return int(rows)


def _swap(database: peewee.SqliteDatabase, old: str, new: str) -> None:
    database.execute_sql(f"DROP TABLE main.{quoted(old)}")
    # Without this pragma, RENAME compiles every view and trigger of the schema, and fails at those that use the dropped
    # table. With it, and with foreign keys off, RENAME changes the name only in the table's own definition
    # (sqlite.org/pragma.html#pragma_legacy_alter_table). This is right, because everything else already uses the old
    # name.
    with pragma_set(database, "legacy_alter_table", 1):
        database.execute_sql(f"ALTER TABLE main.{quoted(new)} RENAME TO {quoted(old)}")
