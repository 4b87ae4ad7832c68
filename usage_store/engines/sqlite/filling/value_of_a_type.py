"""Make values for a column from its declared type. Different numbers give different values, where the type has room."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_SIZE = re.compile(r"\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)")
_FIRST_DAY = datetime(2020, 1, 1)  # noqa: DTZ001  as peewee stores it: without a time zone
_DAYS = 2_000  # then the dates start again
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_UUIDS = 0xA << 124  # the first digit is a letter, because a type such as UUID turns texts of digits into numbers
_EXACT = 15  # digits that a float keeps


@dataclass(frozen=True, slots=True)
class ValueType:
    """What Peewee stores in a column of one type: a value for each number, its Python types, its most characters.

    `few` says that the type has only a few values.
    """

    make: Callable[[int], Any]
    kinds: tuple[type, ...]
    length: int = 0  # no limit
    few: bool = False

    def is_usual(self, value: Any) -> bool:
        """Return whether a value is NULL, or of the right type and length."""
        return value is None or (
            isinstance(value, self.kinds) and not (isinstance(value, str) and 0 < self.length < len(value))
        )


def value_type(name: str, declared: str, default: str | None) -> ValueType:
    """Return the type of values of a column.

    `declared` is the type in upper case, and `default` is SQL. The name of the column matters only for a text: "uuid"
    in the name asks for the digits of a UUID.
    """
    size = _SIZE.search(declared)
    length = int(size[1]) if size else 0
    for words, made, kinds in _BY_WORD:
        if any(word in declared for word in words):
            return ValueType(made, kinds, few=made is _boolean)
    if any(word in declared for word in ("NUMERIC", "DECIMAL")):
        return ValueType(_decimal(length or 10, int(size[2] or 0) if size else 2), (int, float))
    folded = name.lower()
    if any(word in declared or word.lower() in folded for word in ("UUID", "GUID")):
        return ValueType(_shortened(_uuid, length), (str,), length)
    if default is not None and default[:2] in ("'{", "'["):
        return ValueType(_json, (str,))
    return ValueType(_shortened(lambda number: f"{name} {number}", length), (str,) if declared else (object,), length)


def _boolean(number: int) -> int:
    return number % 2


def _json(number: int) -> str:
    return f'{{"number": {number}}}'


def _blob(number: int) -> bytes:
    return b"\x00" + number.to_bytes(8, "big").lstrip(b"\x00")


def moment_of(number: int) -> datetime:
    """Return a moment after 2020-01-01 for a number. It is in UTC, but without a time zone, as Peewee stores it."""
    return _FIRST_DAY + timedelta(days=number % _DAYS, seconds=number)


def _moment(number: int) -> str:
    return str(moment_of(number))


def _date(number: int) -> str:
    return str(moment_of(number).date())


def _time(number: int) -> str:
    return str((_FIRST_DAY + timedelta(seconds=number)).time())


def _uuid(number: int) -> str:
    return uuid.UUID(int=_UUIDS | number << 96, version=4).hex


def _half(number: int) -> float:
    return number + 0.5


# Like SQLite's own rules, "INT" is looked for before others: POINT is an integer type.
_BY_WORD: tuple[tuple[tuple[str, ...], Callable[[int], Any], tuple[type, ...]], ...] = (
    (("BOOL",), _boolean, (int,)),
    (("DATETIME", "TIMESTAMP"), _moment, (str,)),
    (("DATE",), _date, (str,)),
    (("INT",), int, (int,)),
    (("TIME",), _time, (str,)),
    (("JSON",), _json, (str,)),
    (("BLOB", "BINARY", "BYTEA"), _blob, (bytes,)),
    (("REAL", "FLOA", "DOUB"), _half, (float,)),
)


def _decimal(digits: int, places: int) -> Callable[[int], Any]:
    whole = 10 ** max(min(digits, _EXACT) - places, 0)
    return lambda number: number % whole + 0.5 if places else number % whole


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
