"""Make the tables of models where nobody sees them, to read how the server understands them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import peewee

from usage_store.engines.interface.models_and_tables import stored_models
from usage_store.engines.interface.schema_objects import quoted
from usage_store.engines.postgresql.connection.error_messages import sqlstate
from usage_store.engines.postgresql.connection.open_server import refuse_standby
from usage_store.engines.postgresql.connection.write_transaction import in_transaction
from usage_store.engines.postgresql.from_models.read_tables import Schema, read_schema
from usage_store.engines.postgresql.schema.write_values import named, with_values
from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_DEFINITIONS = ("0A", "22", "2B", "42")  # classes of sqlstates: the definition is to blame
_NO_RIGHT = "42501"
_SINGLE = re.compile(r"(?<!%)%(?:%%)*(?!%)")
_TOKENS = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|[(),]|[^'\"(),]+")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The tables of models: their schema, their fields by table and column, and the statements that make each table."""

    schema: Schema
    fields: Mapping[str, Mapping[str, Any]]
    statements: Mapping[str, Sequence[str]]


def wanted_tables(database: peewee.PostgresqlDatabase, models: Sequence[type[peewee.Model]]) -> Wanted:
    """Make the tables of models as temporary tables, read them, and roll back.

    Others see nothing of it, and no lock is taken that others could wait for. The models are bound to the database
    meanwhile. Raises ConfigurationError for models that the server refuses, and ReadOnlyDatabase on a standby.
    """
    refuse_standby(database)
    ((schema,),) = database.execute_sql("SELECT current_schema()").fetchall()
    fields: dict[str, dict[str, Any]] = {}
    statements: dict[str, list[str]] = {}
    nested = in_transaction(database)
    block: Any = database.savepoint() if nested else database.transaction()
    with block, database.bind_ctx(models, bind_refs=False, bind_backrefs=False):
        try:
            if not nested:  # a database that was opened for reading only has read-only transactions
                database.execute_sql("SET TRANSACTION READ WRITE")
            database.execute_sql(
                "SELECT set_config('search_path', 'pg_temp, ' || current_setting('search_path'), true)"
            )
            stored = stored_models(models, schema)
            names = [_short(model._meta.table_name) for model in stored]
            _make_targets(database, schema, stored)
            for name, model in zip(names, stored, strict=True):
                fields[name] = {_short(field.column_name): field for field in model._meta.sorted_fields}
                statements[name] = list(_made(database, schema, model))
            found = read_schema(database, names)
        finally:
            block.rollback()
    return Wanted(found, fields, statements)


def _made(database: peewee.PostgresqlDatabase, schema: str, model: type[peewee.Model]) -> Iterator[str]:
    """Make the table of a model and what belongs to it, and yield the statements."""
    made: Any = model
    manager: Any = type(made._schema)(model, database)  # noqa: SLF001  a model may have a class of its own
    sequences = [field for field in model._meta.sorted_fields if field.sequence]
    contexts = [
        *(manager._create_sequence(field) for field in sequences),  # noqa: SLF001  nothing public gives the SQL
        manager._create_table(safe=False),  # noqa: SLF001
        *manager._create_indexes(safe=False),  # noqa: SLF001
    ]
    for context in contexts:
        if context is None:  # the sequence exists
            continue
        sql, values = context.query()
        text = _laid_out(with_values(database, sql, values).replace(f"{named(schema)}.", ""))
        if _SINGLE.search(text):
            raise ConfigurationError(f"{model.__name__}: the text of its table has a single %; write %% for one %")
        try:
            with database.savepoint():
                database.execute_sql(text)
        except peewee.DatabaseError as error:
            state = sqlstate(error) or ""
            if state == _NO_RIGHT or not state.startswith(_DEFINITIONS):
                raise
            reason = str(error).partition("\n")[0]
            raise ConfigurationError(f"{model.__name__}: PostgreSQL refuses its table: {reason}") from error
        yield text


def _make_targets(database: peewee.PostgresqlDatabase, schema: str, models: Iterable[type[peewee.Model]]) -> None:
    """Make the tables that models refer to and that are no models' tables, without rows.

    A temporary table can refer only to temporary tables, and a reference to the real table would lock that.
    """
    tables = {model._meta.table_name for model in models}
    for field in (field for model in models for field in model._meta.sorted_fields):
        if not isinstance(field, peewee.ForeignKeyField) or getattr(field, "deferred", None):
            continue
        target = str(field.rel_model._meta.table_name)
        path = f"{quoted(schema)}.{quoted(target)}"
        if target in tables or database.execute_sql("SELECT to_regclass(%s)", (path,)).fetchone() == (None,):
            continue
        tables.add(target)
        database.execute_sql(f"CREATE TEMP TABLE {named(target)} (LIKE {named(schema, target)} INCLUDING INDEXES)")


def _short(name: str) -> str:
    """Cut a name as the server does: after 63 bytes."""
    return name.encode()[:63].decode(errors="ignore")


def _laid_out(sql: str) -> str:
    """Put each column and constraint of a CREATE TABLE on its own line; leave any other statement as it is."""
    if not sql.startswith("CREATE TABLE"):
        return sql
    depth, text = 0, ""
    for part in _TOKENS.findall(sql):
        depth += {"(": 1, ")": -1}.get(part, 0)
        if part == ")" and depth == 0:
            text += "\n)"
        elif part == "(" and depth == 1 and "\n" not in text:
            text += "(\n  "
        elif part == "," and depth == 1:
            text += ",\n  "
        else:
            text += part.removeprefix(" ") if text.endswith("\n  ") else part
    return text
