"""Compare a live schema with recorded objects. Only their DDL is compared: nothing is run, and nothing is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.engines.interface.schema_differences import Catalog, differences
from usage_store.engines.postgresql.catalogs.catalog_of_objects import catalog_of, table_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    import peewee

    from usage_store.engines.interface.schema_objects import SchemaObject

_ALSO = {"type": "DOMAIN"}


def compare(
    database: peewee.PostgresqlDatabase,  # noqa: ARG001  the interface's signature
    expected: Mapping[str, SchemaObject],
    live: Mapping[str, SchemaObject],
    found: Collection[str] = (),
) -> tuple[list[str], list[str]]:
    """Return each difference of the live schema from the expected one, and what could not be compared. Reads only.

    `found` are the keys of expected tables that may have any further objects.
    """
    tables = {each.table for key, each in expected.items() if each.kind == "table" and key not in found}
    different = {key: each for key, each in expected.items() if key not in live or live[key].sql != each.sql}
    added = [
        each for key, each in live.items() if key not in expected and each.kind != "table" and each.table in tables
    ]
    unknown = {key: fault for key, each in different.items() if (fault := _fault(each)) is not None}
    hosts = {each.table for each in added}
    wanted = [
        each
        for key, each in expected.items()
        if key not in unknown and (key in different or (each.kind == "table" and each.table in hosts))
    ]
    there = [live[each.key] for each in wanted if each.key in live]
    lines = differences(catalog_of(wanted), catalog_of([*there, *added]))
    lines += _in_other_words(wanted, live)
    return lines, [f"{expected[key].name} was not compared: {fault}" for key, fault in unknown.items()]


def _fault(each: SchemaObject) -> str | None:
    """Return why a recorded text cannot be compared, because a record may hold any text."""
    words = each.sql.split(maxsplit=4)
    if words[:1] != ["CREATE"] or not {each.kind.upper(), _ALSO.get(each.kind)} & {*words[1:4]}:
        return f"its recorded DDL is no CREATE {each.kind.upper()}"
    if each.kind == "table":
        try:
            table_of(each.sql)
        except (KeyError, ValueError) as error:
            return f"its recorded DDL is not understood: {error}"
    return None


def _in_other_words(wanted: Sequence[SchemaObject], live: Mapping[str, SchemaObject]) -> Iterator[str]:
    """Report the tables that differ in a way for which `differences` has no words, with their whole DDL."""
    for each in wanted:
        if each.kind == "table" and each.key in live and live[each.key].sql != each.sql:
            one = Catalog({each.table: table_of(each.sql)}, {})
            if not differences(one, Catalog({each.table: table_of(live[each.key].sql)}, {})):
                yield f"table {each.table} is `{_one_line(live[each.key].sql)}`, should be `{_one_line(each.sql)}`"


def _one_line(sql: str) -> str:
    return " ".join(sql.split())
