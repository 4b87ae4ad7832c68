"""The part of the storage interface that reads and writes whole stores. Each engine has a module that implements it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import peewee

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

D = TypeVar("D", bound=peewee.Database, contravariant=True)  # noqa: PLC0105


class CopyRows(Protocol[D]):
    """The functions that read and write whole stores: every row with its id."""

    def not_json(self, database: D, after: int) -> frozenset[int]:
        """Return the ids above `after` of snapshots whose texts the database does not know to be JSON. Reads only."""

    def unfit(self, database: D, session_id: str, text: str, *, is_json: bool) -> str | None:
        """Return why this database cannot hold a session id or a text, or None if it can. Reads only.

        `is_json` says that another database has taken the text for JSON.
        """

    def pages(self, database: D, after: int) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the snapshots with ids above `after` by id, in lists of rows as `recent()` returns them. Reads only."""

    def hashes(self, database: D) -> Iterator[list[tuple[int, str, int]]]:
        """Yield id, session id and `snapshot_hash()` of every snapshot by id, in lists. Reads only."""

    def sessions(self, database: D) -> dict[str, int]:
        """Return the sessions with the times of their registration (seconds, UTC). Reads only."""

    def put_configurations(self, database: D, columns: Sequence[str], rows: Sequence[Any]) -> None:
        """Replace all configurations."""

    def put_sessions(self, database: D, rows: Mapping[str, int]) -> None:
        """Insert sessions with the times of their registration. Those that are there get these times."""

    def put_snapshots(self, database: D, rows: Iterable[Sequence[Any]]) -> None:
        """Insert snapshots with their ids in one transaction. `rows` is read meanwhile."""

    def last_ids(self, database: D, tables: Sequence[str]) -> dict[str, int]:
        """Return the highest id that each table has ever given to a row. Reads only."""

    def raise_ids(self, database: D, table: str, last: int) -> None:
        """Let the next id of a table be above `last` and above the ids of all rows."""
