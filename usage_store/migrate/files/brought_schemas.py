"""The schema after each version, where migrations bring it along: for databases whose log has recorded none."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from usage_store.engines.interface.schema_objects import SchemaObject

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


@dataclass(slots=True)
class Schema:
    """The objects that are expected, by their keys.

    `optional` names, in lower case, indexes and triggers that may be missing; `alternatives` has by key other DDL that
    is as good. `found` has the keys of those that were there before they were changed: what else is on such a table
    may be anybody's.
    """

    objects: dict[str, SchemaObject] = field(default_factory=dict)
    optional: set[str] = field(default_factory=set)
    alternatives: Mapping[str, Collection[str]] = field(default_factory=dict)
    found: set[str] = field(default_factory=set)

    def copy(self) -> Schema:
        """Give one whose objects can be changed."""
        return Schema(dict(self.objects), set(self.optional), self.alternatives, set(self.found))


def read_brought(path: str) -> dict[int, Schema] | None:
    """Read the schema after each version; None without the file. Reads only."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    states = {}
    for version, listed in content["objects"].items():
        objects = {each.key: each for each in (SchemaObject(*values) for values in listed)}
        states[int(version)] = Schema(objects, set(content["optional"]), content["alternatives"])
    return states
