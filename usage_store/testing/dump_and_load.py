"""Write all usage data of a database to a file, and load such a file."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peewee

from usage_store.errors import ConfigurationError, DamagedSnapshot
from usage_store.models import MODELS
from usage_store.models.fields.column_types import NotUtf8
from usage_store.testing.one_transaction import one_transaction

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

logger = logging.getLogger("usage_store")

_FORMAT = 1


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
    with one_transaction(database):
        for model in reversed(MODELS):
            model.delete().execute()
        for model in MODELS:
            for row in fixture[model._meta.table_name]:
                # AsIs passes each value to the database unchanged, and the database checks it.
                model.insert({name: peewee.AsIs(value, converter=False) for name, value in row.items()}).execute()
