"""Find the rows of a store that another database cannot hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from usage_store.copy_store.store import Store

    Progress = Callable[[str, int, int], object]


def unfit_rows(source: Store, target: Store, after: int, on_progress: Progress) -> Iterator[str]:
    """Yield one line for each session, and each snapshot with an id above `after`, that `target` cannot hold.

    Reads only.
    """
    sessions = source.sessions()
    refused = {session_id: why for session_id in sessions if (why := _why_not(target, session_id, "null"))}
    for session_id, why in refused.items():
        yield f"session {session_id!r}: {why}"
    total, _ = source.count(after)
    done = 0
    for looked_at, rows in source.rows.doubtful(source.database, after, sessions.keys() - refused.keys()):
        for row in rows:
            why_not = unfit(target, row, sessions)
            if why_not is not None:
                yield f"snapshot {row[0]}: {why_not}"
        done += looked_at
        on_progress("snapshots checked", done, max(total, done))


def unfit(target: Store, row: tuple[Any, ...], sessions: Container[str]) -> str | None:
    """Return why `target` cannot hold a snapshot, or None if it can. Reads only."""
    _, session_id, text, *_ = row
    if isinstance(text, bytes):
        return text[1:].decode(errors="replace")  # the reason why it cannot be read
    if session_id not in sessions:
        return f"its session {session_id!r} is not registered"
    return _why_not(target, session_id, text)


def _why_not(target: Store, session_id: str, text: str) -> str | None:
    try:
        session_id.encode()
        text.encode()
    except UnicodeEncodeError:
        return "its session id or its text is not UTF-8"
    return target.rows.unfit(target.database, session_id, text)
