"""Make values for a column from its declared type. Different numbers give different values, where the type has room."""

from __future__ import annotations

import re
import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_SIZE = re.compile(r"\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)")
_FIRST_DAY = datetime(2020, 1, 1)  # noqa: DTZ001  as peewee stores it: without a time zone
_DAYS = 20_000  # then the dates start again
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_EXACT = 15  # digits that a float keeps


def value_maker(name: str, declared: str, default: str | None, *, strict: bool = False) -> Callable[[int], Any]:
    """Return a function that makes the value of a number, as Peewee stores values of this type.

    `declared` is the type in upper case. A text is not longer than the type says. The name of the column matters only
    for a text: "uuid" in the name asks for the digits of a UUID.
    """
    size = _SIZE.search(declared)
    length = int(size[1]) if size else 0
    if strict:
        declared = "TEXT" if declared == "ANY" else declared
    if "BOOL" in declared:
        return _boolean
    for words, made in _BY_WORD:
        if any(word in declared for word in words):
            return made
    if any(word in declared for word in ("NUMERIC", "DECIMAL")):
        return _decimal(length or 10, int(size[2] or 0) if size else 2)
    folded = name.lower()
    if "UUID" in declared or "GUID" in declared or "uuid" in folded or "guid" in folded:
        return _shortened(_uuid, length)
    if default is not None and default[:2] in ("'{", "'["):
        return _json
    return _text(name, length)


def _boolean(number: int) -> int:
    return number % 2


def _json(number: int) -> str:
    return f'{{"number": {number}}}'


def _blob(number: int) -> bytes:
    return b"\x00" + number.to_bytes(8, "big").lstrip(b"\x00")


def _moment(number: int) -> str:
    return str(_FIRST_DAY + timedelta(days=number % _DAYS, seconds=number))


def _date(number: int) -> str:
    return str((_FIRST_DAY + timedelta(days=number % _DAYS)).date())


def _time(number: int) -> str:
    return str((_FIRST_DAY + timedelta(seconds=number)).time())


def _uuid(number: int) -> str:
    return uuid.UUID(int=number << 96, version=4).hex


def _half(number: int) -> float:
    return number + 0.5


# Like SQLite's own rules, "INT" is looked for first: POINT is an integer type.
_BY_WORD: tuple[tuple[tuple[str, ...], Callable[[int], Any]], ...] = (
    (("DATETIME", "TIMESTAMP"), _moment),
    (("DATE",), _date),
    (("INT",), int),
    (("TIME",), _time),
    (("JSON",), _json),
    (("BLOB", "BINARY", "BYTEA"), _blob),
    (("REAL", "FLOA", "DOUB"), _half),
)


def _decimal(digits: int, places: int) -> Callable[[int], Any]:
    whole = 10 ** max(min(digits, _EXACT) - places, 0)
    return lambda number: number % whole + 0.5 if places else number % whole


def _text(name: str, length: int) -> Callable[[int], str]:
    return _shortened(lambda number: f"{name} {number}", length)


def _shortened(made: Callable[[int], str], length: int) -> Callable[[int], str]:
    def short(number: int) -> str:
        text = made(number)
        if not length or len(text) <= length:
            return text
        end = in_digits(number, _DIGITS)[-length:]
        return text[: length - len(end)] + end

    return short


def in_digits(number: int, digits: str, length: int = 1) -> str:
    """Write a number with these digits, at least `length` of them."""
    text = ""
    while number > 0:
        number, digit = divmod(number, len(digits))
        text = digits[digit] + text
    return text.rjust(length, digits[0])
