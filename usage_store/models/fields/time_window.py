"""A selection of snapshots: a span of time, and optionally a session and a type."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any, NamedTuple

from usage_store.errors import InvalidValue
from usage_store.models.fields import allowed_values

_FIRST, _LAST = -(2**63), 2**63 - 1  # the smallest and the largest integer of SQLite


class Window(NamedTuple):
    """The snapshots with `since <= timestamp < until` (seconds, UTC), of one session and of one type, or of all."""

    since: int
    until: int
    session_id: str | None
    snapshot_type: str | None
    newest_first: bool


def checked_window(
    since: object, until: object, session_id: object, snapshot_type: object, newest_first: object
) -> Window:
    """Return the window for a caller's arguments. None means no limit. Raises InvalidValue.

    A time is an aware datetime, seconds or milliseconds. Fractions of a second are cut off, as for stored timestamps.
    """
    window = Window(
        _FIRST if since is None else _seconds("since", since),
        _LAST if until is None else _seconds("until", until),
        None if session_id is None else allowed_values.checked_stored_id(session_id),
        None if snapshot_type is None else allowed_values.checked_snapshot_type(snapshot_type),
        _flag("newest_first", newest_first),
    )
    if window.since > window.until:
        raise InvalidValue("since", since, f"a time that is not after until, which is {until!r}")
    return window


def _seconds(field: str, value: Any) -> int:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return math.floor(value.timestamp())  # also one before 1970, or too late to be a timestamp
    try:
        return allowed_values.checked_timestamp(value, ahead=True)
    except InvalidValue as error:
        raise InvalidValue(field, value, error.allowed) from None


def _flag(field: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidValue(field, value, "True or False")
    return value
