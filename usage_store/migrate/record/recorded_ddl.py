"""Write schema changes to lines of the log, and put these lines together to the expected schema.

No migration is loaded for that. Lines of older versions of this package, and lines of `stamp` and `adopt`, have no
schema change.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from usage_store.engines.interface.schema_objects import Changes, SchemaObject
from usage_store.errors import HistoryError
from usage_store.migrate.files.brought_schemas import Schema
from usage_store.migrate.record.names_in_source import squeezed
from usage_store.migrate.record.which_to_run import newest

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from usage_store.migrate.files.migration import Migration
    from usage_store.migrate.record.log_table import DDL


_encoded = json.JSONEncoder(ensure_ascii=False).encode


class Recorded(NamedTuple):
    """The schema that the log has recorded.

    `unrecorded` has each applied version without a recorded change, with its source from the log, or "" if the log has
    none. `gone` has the keys of objects that were dropped or renamed and are not created again by a later line.
    """

    schema: Schema
    unrecorded: dict[int, str]
    gone: set[str]


def as_text(changes: Changes, optional: Collection[str] = (), *, of_all: bool = False) -> str:
    """Return a schema change as the text that a line of the log stores.

    With `of_all`, the line is valid for all applied versions up to its own.
    """
    content = {**changes._asdict(), "optional": sorted(optional), "of_all": of_all}
    return _encoded({name: value for name, value in content.items() if value})


def recorded(
    lines: Sequence[DDL], applied: Sequence[Migration], brought: Mapping[int, Schema] | None = None
) -> Recorded:
    """Put the lines of a log together, oldest first, and return the recorded schema.

    `brought` has the schema after each version, if it is stored beside the migrations. It is used for lines without a
    schema change. Raises HistoryError for a line that no runner wrote.
    """
    schema, known, gone = Schema(), set[int](), set[str]()
    undone = {line.version: line.row_id for line in lines if line.action == "down"}
    versions = {row.version for row in applied}
    for line in lines:
        if line.version not in versions and line.row_id > undone.get(line.version, 0):
            continue  # somebody deleted its row of the history table by hand
        if line.ddl is not None:
            _take(schema, known, gone, line, versions)
        elif brought is not None:
            schema = _state(brought, line.version - (line.action == "down"))
            known.add(line.version)
        elif line.action != "stamp":
            # An older version of this package wrote the line: objects that its source names may have been changed.
            known.discard(line.version)
            said = squeezed(line.source)
            schema.objects = {
                key: each for key, each in schema.objects.items() if squeezed(each.plain_name) not in said
            }
    if brought is not None and newest(applied) not in known:
        return Recorded(_state(brought, newest(applied)), {}, gone)
    sources = {line.version: line.source for line in lines if line.action != "down"}
    return Recorded(schema, {version: sources.get(version, "") for version in versions - known}, gone)


def _take(schema: Schema, known: set[int], gone: set[str], line: DDL, versions: set[int]) -> None:
    content = _parsed(line)
    for key in content.get("gone", ()):
        gone.add(key)
        schema.objects.pop(key, None)
        schema.found.discard(key)
    schema.found.update(key for key in content.get("changed", ()) if key not in schema.objects)
    for each in content.get("made", ()):
        made = SchemaObject(*each)
        schema.objects[made.key] = made
        gone.discard(made.key)
    schema.optional.update(content.get("optional", ()))
    if line.action == "down":
        known.discard(line.version)
    else:
        known.add(line.version)
    if content.get("of_all"):
        known.update(version for version in versions if version <= line.version)


def _state(brought: Mapping[int, Schema], version: int) -> Schema:
    return brought.get(version, Schema()).copy()


def _parsed(line: DDL) -> dict[str, Any]:
    try:
        content = json.loads(line.ddl or "")
        made = [SchemaObject(*each) for each in content.get("made", ())]
        texts: list[object] = [text for each in made for text in each]
        texts += [text for name in ("changed", "gone", "optional") for text in content.get(name, ())]
    except (AttributeError, TypeError, ValueError, RecursionError):
        texts = [None]
    if not all(isinstance(text, str) for text in texts):
        raise HistoryError(f"the log's line with id {line.row_id} has DDL that is damaged; delete that line")
    return dict(content)
