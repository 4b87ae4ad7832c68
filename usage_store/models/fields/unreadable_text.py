"""The values in place of texts that cannot be read, and the error that they become."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from usage_store.errors import DamagedSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable

WHY = b"\0"  # the first byte of a blob that contains the reason why a text cannot be read


class NotUtf8(str):
    """A text that is not UTF-8 in the database. `os.fsencode` returns its bytes."""

    __slots__ = ()


def text_or_why(read: Callable[[], str]) -> str | bytes:
    """Return the text that `read` returns, or a blob with the reason if it raises DamagedSnapshot."""
    try:
        return read()
    except DamagedSnapshot as damage:
        return WHY + str(damage).encode(errors="backslashreplace")


def damage(row: int | None, value: Any) -> DamagedSnapshot:
    """Return the error for a text that cannot be read. `row` is the id of its snapshot, or None if it is unknown."""
    if isinstance(value, bytes) and value.startswith(WHY):
        why = value.removeprefix(WHY).decode(errors="backslashreplace")
    elif isinstance(value, bytes):
        why = f"{value[:20]!r} was read without its block"
    else:
        why = "its text is not UTF-8" if isinstance(value, NotUtf8) else "its text cannot be read"
    whose = "a snapshot (select its id to see which)" if row is None else f"snapshot {row}"
    return DamagedSnapshot(f"{whose}: {why}")
