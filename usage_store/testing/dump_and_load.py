"""Write all usage data of a database to a file, and load such a file."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peewee

from usage_store.engines import engine_of, unwrap
from usage_store.errors import ConfigurationError, DamagedSnapshot
from usage_store.models import MODELS
from usage_store.models.fields.unreadable_text import NotUtf8
from usage_store.models.storage_interface import storage_of
from usage_store.testing import json_lines
from usage_store.testing.one_transaction import one_transaction
from usage_store.testing.replace_file import replace_file

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from usage_store.testing.json_lines import Row

logger = logging.getLogger("usage_store")

_FORMAT = 1
_PAGE = 50  # rows
_REFUSED = (
    *(peewee.IntegrityError, peewee.InterfaceError, peewee.DataError, peewee.ProgrammingError),
    *(OverflowError, ValueError),  # a number or a text that the driver cannot pass to the database
)


def dump_usage(database: peewee.Database | peewee.DatabaseProxy, path: str | os.PathLike[str]) -> None:
    """Write all sessions, configurations and snapshots to a file. The database is only read, in one transaction.

    A path that ends in `.jsonl` becomes JSON Lines, with one row on a line; then one row is in memory at a time, or 50
    from a server. Any other path becomes JSON. A row with a text that cannot be read or is not UTF-8 is left out, and
    one warning names all such rows. If there is an error, an older file of this name stays as it was.
    """
    left_out: list[str] = []
    with (
        replace_file(path) as file,
        database.bind_ctx(MODELS, bind_refs=False, bind_backrefs=False),
        engine_of(database).one_view(unwrap(database)),
    ):
        tables = {model._meta.table_name: _rows(model, left_out) for model in MODELS}
        if _is_lines(path):
            file.writelines(json_lines.written(_FORMAT, tables))
        else:
            text = json.dumps({"format": _FORMAT, **{name: list(rows) for name, rows in tables.items()}}, indent=1)
            file.write(text + "\n")
    if left_out:
        logger.warning("%s: left out rows that cannot be read: %s", path, ", ".join(left_out))


def _is_lines(path: str | os.PathLike[str]) -> bool:
    return Path(path).suffix == ".jsonl"


def _rows(model: type[peewee.Model], left_out: list[str]) -> Iterator[dict[str, Any]]:
    columns = {field.name: field.column_name for field in model._meta.sorted_fields}
    key: Any = model._meta.primary_key
    for stored in _stored(model, key):
        try:
            row = {column: getattr(stored, column) for column in columns.values()}
        except DamagedSnapshot:
            row = {}
        if row and not any(isinstance(value, NotUtf8) for value in row.values()):
            yield row
        else:
            left_out.append(f"{model._meta.table_name} {stored.get_id()!r}")


def _stored(model: type[peewee.Model], key: Any) -> Iterator[Any]:
    """Yield the rows of a table by its key. On a server in pages, because drivers read the whole result of a query."""
    query = model.select().order_by(key)
    if not engine_of(model._meta.database).ON_A_SERVER:
        yield from query.iterator()
        return
    page = list(query.limit(_PAGE))
    while page:
        yield from page
        page = list(query.where(key > page[-1].get_id()).limit(_PAGE))


def load_usage(database: peewee.Database | peewee.DatabaseProxy, path: str | os.PathLike[str]) -> None:
    """Replace all usage data of a migrated database by the content of a file that `dump_usage` wrote. Ids are kept.

    A path that ends in `.jsonl` is read as JSON Lines, one row at a time, and any other path as JSON. Everything is
    replaced in one transaction. Raises ConfigurationError if the file is not such a file or is not complete, or if a
    row breaks a rule of the database. Then nothing is changed.
    """
    columns = {model._meta.table_name: model._meta.columns.keys() for model in MODELS}
    rows = json_lines.read(path, _FORMAT, columns) if _is_lines(path) else _of_json(path)
    with one_transaction(database):
        for model in reversed(MODELS):
            model.delete().execute()
        models = {model._meta.table_name: model for model in MODELS}
        statements: dict[tuple[str, ...], tuple[str, list[str]]] = {}
        for place, table, row in rows:
            key = (table, *row)
            if key not in statements:
                # AsIs passes each value to the database unchanged. Here the values are the names of their columns.
                names = {name: peewee.AsIs(name, converter=False) for name in row}
                statements[key] = models[table].insert(names).sql()
            sql, order = statements[key]
            try:
                database.execute_sql(sql, [_as_stored(row[name]) for name in order])
            except _REFUSED as error:
                raise ConfigurationError(f"{path}: {place}: {' '.join(str(error).split())}") from None
        inner = unwrap(database)
        for model in MODELS:
            if isinstance(model._meta.primary_key, peewee.AutoField):
                storage_of(inner).copy_rows.raise_ids(inner, model._meta.table_name, 0)


def _as_stored(value: Any) -> Any:
    """Return a value of a fixture as the database stores it: it has no column of truth values."""
    return int(value) if isinstance(value, bool) else value


def _of_json(path: str | os.PathLike[str]) -> list[Row]:
    try:
        fixture = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: not a JSON fixture ({error})") from None
    if not isinstance(fixture, dict) or fixture.get("format") != _FORMAT:
        raise ConfigurationError(f"{path}: not a file of dump_usage(): its format is not {_FORMAT}")
    found: list[Row] = []
    for model in MODELS:
        table, columns = model._meta.table_name, model._meta.columns.keys()
        rows = fixture.get(table)
        if not isinstance(rows, list) or not all(isinstance(row, dict) and row.keys() <= columns for row in rows):
            raise ConfigurationError(f"{path}: {table} is not a list of rows with the columns {', '.join(columns)}")
        found += ((f"{table}, row {number}", table, row) for number, row in enumerate(rows, 1))
    return found
