"""Snapshots as plain rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from usage_store.models.fields.unreadable_text import damage

if TYPE_CHECKING:
    from collections.abc import Iterable


class SnapshotRow(NamedTuple):
    """A snapshot as a plain row: the columns of usage_snapshots, with `snapshot_data` as text."""

    id: int
    session_id: str
    snapshot_data: str
    snapshot_type: str
    timestamp: int


def plain_rows(found: Iterable[tuple[Any, ...]]) -> list[SnapshotRow]:
    """Return rows of a storage as plain rows. Raises DamagedSnapshot for a row whose text cannot be read."""
    rows = []
    for row_id, session_id, text, kind, seconds, *_ in found:
        if type(text) is not str:
            raise damage(row_id, text)
        rows.append(SnapshotRow(row_id, session_id, text, kind, seconds))
    return rows
