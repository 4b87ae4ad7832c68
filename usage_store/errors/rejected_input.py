"""Errors of input: a value, field or session that a function does not accept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from usage_store.errors.base import UsageStoreError

if TYPE_CHECKING:
    from collections.abc import Sequence


class RejectedInput(UsageStoreError):
    """Input was refused; nothing was written."""


class InvalidValue(RejectedInput):
    """A field does not allow this value."""

    def __init__(self, field: str, value: Any, allowed: str) -> None:
        self.field = field
        self.value = value
        self.allowed = allowed
        super().__init__(f"{field}: {shown(value)} is not allowed; allowed: {allowed}")


def shown(value: Any) -> str:
    """Show a value in at most 120 characters."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deeply, or an int with more digits than Python prints
        return f"a value of type {type(value).__name__}"
    if len(text) > 80:  # noqa: PLR2004  one line, whatever the payload
        text = f"{text[:60]}... ({type(value).__name__}, {len(text)} characters)"
    return text


def listed(names: Sequence[str], most: int = 20) -> str:
    """Return names with commas between them; of many, only the first ones and a number."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


class UnknownField(RejectedInput):
    """The field does not exist, or the caller may not set it."""

    def __init__(self, field: object, allowed: tuple[str, ...]) -> None:
        self.field = field
        self.allowed = allowed
        super().__init__(f"{field!r} is not a field that can be set; allowed: {', '.join(allowed)}")


class UnknownSession(RejectedInput):
    """The session of a snapshot is not registered."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        super().__init__(f"session {session_id!r} is unknown; register_session() makes it known")


class NoActiveConfiguration(RejectedInput):
    """No configuration row is active."""

    def __init__(self) -> None:
        super().__init__("no configuration is active; reset_usage_config() makes one active, with the defaults")
