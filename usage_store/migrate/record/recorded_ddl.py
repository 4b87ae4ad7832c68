"""The schema that the log has recorded: each line holds what its migration changed, and all of them together it.

No migration is loaded for that. Lines from before there was a record, and those of `stamp` and `adopt`, have none.
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
    """A schema, and the source of each applied version that it says nothing of, so far as the log has that.

    `gone` has the keys of what was there before there was a record, and was dropped or renamed since.
    """

    schema: Schema
    unrecorded: dict[int, str]
    gone: set[str]


def as_text(changes: Changes, optional: Collection[str] = (), *, of_all: bool = False) -> str:
    """Write down what was changed, as a line of the log holds it; `of_all` speaks for all versions that are applied."""
    content = {**changes._asdict(), "optional": sorted(optional), "of_all": of_all}
    return _encoded({name: value for name, value in content.items() if value})


def recorded(
    lines: Sequence[DDL], applied: Sequence[Migration], brought: Mapping[int, Schema] | None = None
) -> Recorded:
    """Put the lines of a log together, oldest first.

    `brought` gives the schema after each version of migrations that bring it along, for lines without one. Raises
    HistoryError for a line that no runner wrote.
    """
    schema, known, gone = Schema(), set[int](), set[str]()
    undone = {line.version: line.row_id for line in lines if line.action == "down"}
    versions = {row.version for row in applied}
    for line in lines:
        if line.version not in versions and line.row_id > undone.get(line.version, 0):
            continue  # somebody took it out of the history by hand
        if line.ddl is not None:
            _take(schema, known, gone, line, versions)
        elif brought is not None:
            schema = _state(brought, line.version - (line.action == "down"))
            known.add(line.version)
        elif line.action != "stamp":
            # Written by a version that records nothing: what its migration speaks of may be another thing now.
            known.discard(line.version)
            said = squeezed(line.source)
            schema.objects = {key: each for key, each in schema.objects.items() if squeezed(each.name) not in said}
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
        raise HistoryError(f"the log's line with id {line.row_id} has DDL that no runner wrote; delete it")
    return dict(content)
