"""Show the contents of a model in one short line, for repr(). Nothing here raises, whatever the model holds."""

from __future__ import annotations

import reprlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from usage_store.errors import DamagedSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MOST = 60  # characters of one value
_REPR = reprlib.Repr()
_REPR.maxother = _REPR.maxlong = _MOST


def snapshot(columns: Mapping[str, Any], read_text: Callable[[], Any]) -> str:
    """Show the selected columns of a snapshot. `read_text` returns its text or raises DamagedSnapshot."""
    line = key(columns.get("id"))
    if "session" in columns:
        line += f" of {value(columns['session'])}"
    if "snapshot_type" in columns:
        line += f", {text(columns['snapshot_type'])}"
    if "timestamp" in columns:
        line += f", {moment(columns['timestamp'])}"
    return f"{line}: {_payload(read_text)}" if "snapshot_data" in columns else line


def _payload(read_text: Callable[[], Any]) -> str:
    try:
        payload = read_text()
    except DamagedSnapshot as damage:
        why = str(damage).partition(": ")[2]
        return f"damaged ({_escaped(why[: 2 * _MOST])})"
    return text(payload)


def key(given: Any) -> str:
    """Show a primary key, or "without id" for None."""
    return "without id" if given is None else value(given)


def value(given: Any) -> str:
    """Return the repr of a value. A long repr is cut. Never raises."""
    if isinstance(given, (str, bytes)):
        return repr(given[:_MOST]) + _cut(given)
    try:
        return _REPR.repr(given)
    except Exception:  # noqa: BLE001  another program's class, or an int with more digits than Python prints
        return f"a value of type {type(given).__name__}"


def text(given: Any) -> str:
    """Return a text without quotes. A long text is cut, and control characters are escaped. Others as in `value`."""
    return _escaped(given[:_MOST]) + _cut(given) if isinstance(given, str) else value(given)


def moment(seconds: Any) -> str:
    """Return a time as ISO 8601 in UTC, such as 2025-07-18T16:37:34Z. Anything else is shown as by `value`."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    except (OSError, OverflowError, TypeError, ValueError):
        return value(seconds)


def _escaped(given: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in given)


def _cut(given: str | bytes) -> str:
    if len(given) <= _MOST:
        return ""
    return f"... ({len(given):,} {'characters' if isinstance(given, str) else 'bytes'})"
