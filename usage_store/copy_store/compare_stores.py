"""Compare two stores: their configurations, their sessions, and a hash of the snapshots of each session."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from usage_store.copy_store.store import ID_BITS, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import peewee

    Progress = Callable[[str, int, int], object]

_ALL_BITS = 2**64


class SessionHash(NamedTuple):
    """A session: its id, when it was registered (seconds, UTC), how many snapshots it has, and their hash.

    The hash is 16 hexadecimal digits. Two sessions with the same snapshots have the same hash on every engine.
    """

    session_id: str
    created_at: int
    snapshots: int
    hash: str


def compare_stores(
    source: peewee.Database | peewee.DatabaseProxy,
    target: peewee.Database | peewee.DatabaseProxy,
    *,
    on_progress: Progress = lambda _what, _done, _total: None,
) -> tuple[tuple[SessionHash, ...], tuple[str, ...]]:
    """Return the sessions of `source`, and one line for each difference of `target`. Reads only."""
    return compared(Store(source), Store(target), on_progress)


def compared(
    source: Store, target: Store, on_progress: Progress, sums: tuple[Sums, Sums] | None = None
) -> tuple[tuple[SessionHash, ...], tuple[str, ...]]:
    """Compare two stores as `compare_stores()` does.

    `sums` are those of source and target as a copy has read them. They are used if the same ids are there still.
    """
    here, there = sums or (Sums(), Sums())
    if here.ids() != source.ids_by_session():
        here = _hashed(source, "source", on_progress)
    if there.ids() != target.ids_by_session():
        there = _hashed(target, "target", on_progress)
    ours, theirs = here.sessions(source.sessions()), there.sessions(target.sessions())
    lines = list(_configurations(source, target))
    lines += _differences(ours, theirs)
    return tuple(ours[session_id] for session_id in sorted(ours)), tuple(lines)


class Sums:
    """The number of the snapshots of each session, and the sums of their ids and of their hashes."""

    def __init__(self) -> None:
        self._found: dict[str, list[int]] = {}

    def add(self, hashes: Iterable[tuple[int, str, int]]) -> None:
        """Add the ids, the sessions and the hashes of snapshots."""
        for row_id, session_id, value in hashes:
            found = self._found.setdefault(session_id, [0, 0, 0])
            found[0] += 1
            found[1] += row_id & ID_BITS
            found[2] += value

    def ids(self) -> dict[str, tuple[int, int]]:
        """Return number and sum of ids of each session that has a snapshot, as `Store.ids_by_session()` does."""
        return {session_id: (count, ids) for session_id, (count, ids, _) in self._found.items()}

    def sessions(self, registered: Mapping[str, int]) -> dict[str, SessionHash]:
        """Return all sessions. `registered` has the times of their registration."""
        made = {}
        for session_id in {**registered, **self._found}:
            count, _, total = self._found.get(session_id, (0, 0, 0))
            hashed = f"{total % _ALL_BITS:016x}"
            made[session_id] = SessionHash(session_id, registered.get(session_id, 0), count, hashed)
        return made


def _hashed(store: Store, what: str, on_progress: Progress) -> Sums:
    sums = Sums()
    total, _ = store.count()
    sums.add(_counted(store.hashes(), f"snapshots of the {what} compared", total, on_progress))
    return sums


def _counted(
    rows: Iterable[tuple[int, str, int]], what: str, total: int, on_progress: Progress
) -> Iterator[tuple[int, str, int]]:
    for done, row in enumerate(rows, 1):
        yield row
        if done % 1000 == 0 or done == total:
            on_progress(what, done, max(total, done))


def _configurations(source: Store, target: Store) -> Iterator[str]:
    if source.configurations() != target.configurations():
        yield "the configurations differ"


def _differences(ours: Mapping[str, SessionHash], theirs: Mapping[str, SessionHash]) -> Iterator[str]:
    for session_id in sorted({*ours, *theirs}):
        here, there = ours.get(session_id), theirs.get(session_id)
        if here is None or there is None:
            yield f"session {session_id} is only in the {'target' if here is None else 'source'}"
        elif here.snapshots != there.snapshots:
            yield f"session {session_id}: {there.snapshots:,} snapshots in the target, {here.snapshots:,} in the source"
        elif here != there:
            yield f"session {session_id}: its snapshots or its time of registration differ"
