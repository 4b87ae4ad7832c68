"""Read the file that stores the schema after each version.

Some migration directories contain such a file. It is used for databases whose log has no recorded schema.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from usage_store.engines.interface.schema_objects import SchemaObject
from usage_store.migrate.files.migration import content_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


@dataclass(slots=True)
class Schema:
    """The schema objects that are expected, by their keys.

    `optional` has the names of indexes and triggers that may be missing, in lower case. `alternatives` has, by key,
    other DDL texts that are also accepted. `found` has the keys of objects that existed before a migration changed
    them. The application may have other indexes and triggers on such a table.
    """

    objects: dict[str, SchemaObject] = field(default_factory=dict)
    optional: set[str] = field(default_factory=set)
    alternatives: Mapping[str, Collection[str]] = field(default_factory=dict)
    found: set[str] = field(default_factory=set)

    def copy(self) -> Schema:
        """Return a copy whose objects can be changed."""
        return Schema(dict(self.objects), set(self.optional), self.alternatives, set(self.found))


def read_brought(path: str) -> dict[int, Schema] | None:
    """Return the schema after each version, or None if the file does not exist. Reads only."""
    try:
        content = json.loads(content_of(path))
    except FileNotFoundError:
        return None
    states = {}
    for version, listed in content["objects"].items():
        objects = {each.key: each for each in (SchemaObject(*values) for values in listed)}
        states[int(version)] = Schema(objects, set(content["optional"]), content["alternatives"])
    return states
