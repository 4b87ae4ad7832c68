"""Tell whether a target is empty, or holds a part of a copy of the same source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.copy_store.store import BEFORE_ALL
from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    from usage_store.copy_store.store import Store


def first_id(target: Store, *, resume: bool) -> int:
    """Return the id after which the copy goes on: the highest in the target. Reads only.

    Raises ConfigurationError for a target with snapshots, unless the copy is to be resumed.
    """
    if not target.exists():
        return BEFORE_ALL
    number, last = target.count()
    if number and not resume:
        raise ConfigurationError(
            f"{target.name}: the target has {number:,} snapshots; copy to an empty database, or go on with a copy of "
            "the same source by --resume"
        )
    return last


def refuse_other_sessions(source: Store, target: Store) -> None:
    """Raise ConfigurationError for a target with sessions or a configuration of its own. Reads only."""
    if not target.exists():
        return
    foreign = sorted(target.sessions().keys() - source.sessions().keys())
    if foreign:
        raise ConfigurationError(
            f"{target.name}: the target is not empty: it has session {foreign[0]!r}, which the source does not have"
        )
    there = target.configurations()
    *_, made, changed, _ = there[0] if there else (0, 0, 0)
    if there != source.configurations() and (len(there) > 1 or made != changed):
        raise ConfigurationError(
            f"{target.name}: the target is not empty: its configuration was changed, or that of the source since a "
            "copy; copy to an empty database, or delete all rows of its table usage_config before --resume"
        )


def missing_ids(source: Store, target: Store) -> frozenset[int]:
    """Return the ids that the target lacks below its highest one. Reads only.

    Raises ConfigurationError if the target has a snapshot that the source does not have.
    """
    missing: list[int] = []
    if not target.exists() or not target.count()[0]:
        return frozenset()
    rows = source.hashes()
    for row_id, _, value in target.hashes():
        found = next(rows, None)
        while found is not None and found[0] < row_id:
            missing.append(found[0])
            found = next(rows, None)
        if found is None or (found[0], found[2]) != (row_id, value):
            raise ConfigurationError(
                f"{target.name}: the target is not a copy of this source: its snapshot {row_id} is not in the source, "
                "or is another one there; copy to an empty database"
            )
    return frozenset(missing)
