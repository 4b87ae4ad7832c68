"""Compare the schema of a database with the schema that the log has recorded. No migration is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from usage_store.engines.interface.schema_objects import key_of
from usage_store.errors import SchemaDrift
from usage_store.errors.rejected_input import listed
from usage_store.migrate.record.names_in_source import made_in, squeezed
from usage_store.migrate.record.recorded_ddl import Recorded, recorded
from usage_store.migrate.record.source_text import as_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from usage_store.engines.interface.schema_objects import SchemaObject
    from usage_store.engines.interface.watch_and_meter import SchemaHash
    from usage_store.migrate.files.brought_schemas import Schema
    from usage_store.migrate.files.migration import Migration
    from usage_store.migrate.record.files_history_and_log import Records


class Drift(NamedTuple):
    """The differences that were found, and notices about the comparison itself."""

    problems: list[SchemaDrift]
    notices: list[str]


def drift(records: Records, applied: Sequence[Migration], read: tuple[SchemaHash, str] | None = None) -> Drift:
    """Compare the schema with the recorded one. Reads only.

    Some migrations may have run before the log recorded schemas. One notice names the objects that they created, as far
    as their sources show the names, and says that these objects were not compared. But an object that such a source
    creates by plain SQL must exist. Raises HistoryError for a damaged line of the log. `read` is the schema with its
    fingerprint, if the caller has read it.
    """
    return compared(records, recorded_schema(records, applied), applied, read)


def recorded_schema(records: Records, applied: Sequence[Migration]) -> Recorded:
    """Return the schema that the log has recorded, or the schema that is stored beside the migrations. Reads only."""
    return recorded(list(records.log.ddl()), applied, records.brought())


def compared(
    records: Records, found: Recorded, applied: Sequence[Migration], read: tuple[SchemaHash, str] | None = None
) -> Drift:
    """Compare the schema with a recorded or replayed schema. Reads only. `read` is as in `drift()`."""
    if read is None:
        fingerprint = records.engine.Fingerprint(records.database)
        read = fingerprint, fingerprint.read()
    live, now = read[0].objects, read[1]
    expected = _expected(found.schema, live)
    lines, notices = records.engine.copies.compare(records.database, expected, live, found.schema.found)
    if found.unrecorded:
        own = tuple(table.lower() for table in records.tables())
        rest = {key: each for key, each in live.items() if key not in expected and each.table.lower() not in own}
        texts = [text or _text_of(row) for row in applied if (text := found.unrecorded.get(row.version)) is not None]
        there = {(each.kind, each.plain_name) for each in (*expected.values(), *live.values())}
        lines += _missing(texts, there, found.gone)
        notices.append(_not_compared([row for row in applied if row.version in found.unrecorded], texts, rest))
    if lines and records.log.exists():
        notices.append(_cause(current=records.log.is_current(now)))
    return Drift([SchemaDrift(line) for line in lines], notices)


def _expected(schema: Schema, live: Mapping[str, SchemaObject]) -> dict[str, SchemaObject]:
    """Return the objects that must exist.

    Optional objects of a table are included only if at least one of them exists. If an object has one of its allowed
    alternative texts, that text is expected.
    """
    optional = {key: each for key, each in schema.objects.items() if each.plain_name in schema.optional}
    there = {
        each.table.lower()
        for key, each in optional.items()
        if key in live and live[key].table.lower() == each.table.lower()
    }
    expected = {key: each for key, each in schema.objects.items() if key not in optional or each.table.lower() in there}
    as_good = {key for key, texts in schema.alternatives.items() if key in live and live[key].sql in texts}
    return {key: live[key] if key in as_good else each for key, each in expected.items()}


def _missing(texts: Sequence[str], there: set[tuple[str, str]], gone: set[str]) -> Iterator[str]:
    for kind, name in dict.fromkeys(made_in(texts)):
        if (kind, name) not in there and key_of(kind, name) not in gone:
            yield f"{kind} {name} is missing"


def _text_of(row: Migration) -> str:
    return "" if row.file is None else as_text(row.read())


def _not_compared(rows: Sequence[Migration], texts: Sequence[str], rest: Mapping[str, SchemaObject]) -> str:
    said = squeezed("\n".join(texts))
    found = sorted(f"{each.kind} {each.name}" for each in rest.values() if squeezed(each.plain_name) in said)
    versions = str(rows[0]) if len(rows) == 1 else f"{rows[0]} to {rows[-1]}"
    return (
        f"not compared: {listed(found, 10) or 'other objects'}; the log has no schema for {versions} ({len(rows)}); "
        "`validate --replay` runs them on an empty copy, compares the schema with the result, and records the result"
    )


def _cause(*, current: bool) -> str:
    if current:
        return (
            "the schema has not changed since the last migration: somebody changed it by hand before that, or a "
            "migration does something else now, or its result depends on rows"
        )
    return "the schema was changed by hand since the last migration"
