"""Show SQL statements for `--verbose`. Blobs and long texts are cut, and their length is shown instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import logging

_MOST_SQL = 4000  # characters
_MOST_TEXT = 200
_MOST_PARAMETERS = 50


class Statement(tuple[str, Any]):
    """A statement and its parameters, as peewee logs them."""

    __slots__ = ()

    def __str__(self) -> str:
        sql, parameters = self
        shown = _cut(sql.strip(), _MOST_SQL)
        return f"{shown}  {_shown(parameters)}" if parameters else shown


def cut_parameters(record: logging.LogRecord) -> bool:
    """Cut the parameters of a record of peewee's logger. Returns True, so that the record is printed.

    Other filters still find the whole statement in the record.
    """
    if isinstance(record.msg, tuple) and len(record.msg) == 2 and isinstance(record.msg[0], str):  # noqa: PLR2004
        record.msg = Statement(record.msg)
    return True


def _shown(parameters: Any) -> str:
    listed = list(parameters.items() if isinstance(parameters, Mapping) else parameters)
    more = [f"and {len(listed) - _MOST_PARAMETERS:,} more"] if listed[_MOST_PARAMETERS:] else []
    return f"[{', '.join([*map(_value, listed[:_MOST_PARAMETERS]), *more])}]"


def _value(value: Any) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<blob of {len(value):,} bytes>"
    if isinstance(value, tuple):
        return ": ".join(map(_value, value))
    return repr(_cut(value, _MOST_TEXT)) if isinstance(value, str) else _cut(repr(value), _MOST_TEXT)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most // 2]}... ({len(text):,} characters)"
