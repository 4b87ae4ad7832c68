"""The schema that the log has recorded: each line holds what its migration changed, and all of them together it.

No migration is loaded for that. Lines from before there was a record, and those of `stamp` and `adopt`, have none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from usage_store.engines.interface.schema_objects import Changes, SchemaObject
from usage_store.errors import HistoryError
from usage_store.migrate.record.names_in_source import mentions
from usage_store.migrate.record.which_to_run import newest

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from usage_store.migrate.files.migration import Migration
    from usage_store.migrate.record.log_table import DDL


@dataclass(slots=True)
class Recorded:
    """A schema by the keys of its objects; `optional` names, in lower case, indexes and triggers that may be missing.

    `alternatives` has by key other DDL that is as good. `unrecorded` has the source of each applied version whose DDL
    is not recorded, so far as the log has that.
    """

    objects: dict[str, SchemaObject] = field(default_factory=dict)
    optional: set[str] = field(default_factory=set)
    alternatives: Mapping[str, Collection[str]] = field(default_factory=dict)
    unrecorded: dict[int, str] = field(default_factory=dict)


def as_text(changes: Changes, optional: Collection[str] = (), *, of_all: bool = False) -> str:
    """Write down what was changed, as a line of the log holds it; `of_all` speaks for all versions that are applied."""
    content = {
        "made": changes.made,
        "gone": changes.gone,
        "optional": sorted(optional),
        "of_all": of_all,
    }
    return json.dumps({name: value for name, value in content.items() if value}, ensure_ascii=False)


def recorded(
    lines: Sequence[DDL], applied: Sequence[Migration], brought: Mapping[int, Recorded] | None = None
) -> Recorded:
    """Put the lines of a log together, oldest first.

    `brought` gives the schema after each version of migrations whose record comes with them, for lines without one.
    Raises HistoryError for a line that no runner wrote.
    """
    schema = Recorded()
    known: set[int] = set()
    undone = {line.version: line.row_id for line in lines if line.action == "down"}
    versions = {row.version for row in applied}
    for line in lines:
        if line.version not in versions and line.row_id > undone.get(line.version, 0):
            continue  # somebody took it out of the history by hand
        if line.ddl is not None:
            _take(schema, known, line, applied)
        elif brought is not None:
            _go_to(schema, brought, line.version if line.action != "down" else line.version - 1)
            known.add(line.version)
        elif line.action != "stamp":
            # Written by a version that records nothing: what its migration speaks of may be another thing now.
            known.discard(line.version)
            schema.objects = {k: v for k, v in schema.objects.items() if not mentions(line.source, v.name)}
    if brought is not None and newest(applied) not in known:
        _go_to(schema, brought, newest(applied))
        known.update(row.version for row in applied)
    sources = {line.version: line.source for line in lines if line.action != "down"}
    schema.unrecorded = {row.version: sources.get(row.version, "") for row in applied if row.version not in known}
    return schema


def _take(schema: Recorded, known: set[int], line: DDL, applied: Sequence[Migration]) -> None:
    content = _parsed(line)
    for key in content.get("gone", ()):
        schema.objects.pop(key, None)
    for each in content.get("made", ()):
        made = SchemaObject(*each)
        schema.objects[made.key] = made
    schema.optional.update(content.get("optional", ()))
    if line.action == "down":
        known.discard(line.version)
    else:
        known.add(line.version)
    if content.get("of_all"):
        known.update(row.version for row in applied if row.version <= line.version)


def _go_to(schema: Recorded, brought: Mapping[int, Recorded], version: int) -> None:
    state = brought.get(version, Recorded())
    schema.objects, schema.optional = dict(state.objects), set(state.optional)
    schema.alternatives = state.alternatives


def _parsed(line: DDL) -> dict[str, Any]:
    try:
        content = json.loads(str(line.ddl))
        made = [SchemaObject(*each) for each in content.get("made", ())]
        texts = [text for each in made for text in each] + [*content.get("gone", ()), *content.get("optional", ())]
    except (AttributeError, TypeError, ValueError, RecursionError):
        texts = [None]
    if not all(isinstance(text, str) for text in texts):
        raise HistoryError(f"the log's line with id {line.row_id} has DDL that no runner wrote; delete it")
    return dict(content)


def read_brought(path: str) -> dict[int, Recorded] | None:
    """Read the schema after each version from a file that comes with the migrations; None without the file."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    states = {}
    for version, listed in content["objects"].items():
        objects = {each.key: each for each in (SchemaObject(*values) for values in listed)}
        states[int(version)] = Recorded(objects, set(content["optional"]), content["alternatives"])
    return states
