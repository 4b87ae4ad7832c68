"""Make values of each type as texts, which the server reads, and guess values that a CHECK may allow."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from usage_store.engines.postgresql.filling.read_tables import FillColumn

_START = dt.datetime(2026, 1, 1, 12)  # noqa: DTZ001  a moment as text
_SIZE = re.compile(r"\((\d+)(?:,(-?\d+))?\)")
_ELEMENT = re.compile(r"(.+?)(\[\])+")
_TEXT = re.compile(r"'((?:[^']|'')*)'")
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?!\w)")  # a negative one stands in quotes: '-5'::integer
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
# Values that columns of any type may take.
USUAL = (
    *("1", "0", "-1", "0.5", "100", "a", "A", "abc", "", "{}", "[]", '{"a": 1}', "1577880000", "1577880000000"),
    *("a@example.com", "https://example.com/", "/a", "127.0.0.1", "#aabbcc", "00000000-0000-4000-8000-000000000001"),
    *("true", "false", "2026-01-01", "ABC", "AAA-111", "aaa111"),
)
_LONGEST = 1_000  # characters


def value_of(column: FillColumn, number: int) -> str:
    """Return a value of a column's type. Another number gives another value, as far as the type has them."""
    if column.labels:
        return column.labels[number % len(column.labels)]
    return _of_type(column.type, column.name, number)


def _of_type(kind: str, name: str, number: int) -> str:
    array = _ELEMENT.fullmatch(kind)
    if array:
        element = _of_type(array[1], name, number).replace("\\", "\\\\").replace('"', '\\"')
        return f'{{"{element}"}}'
    size = _SIZE.search(kind)
    length = int(size[1]) if size else 0
    base = _SIZE.sub("", kind)
    if base == "numeric" and size:
        return str(number % 10 ** min(max(length - int(size[2] or 0), 0), 15))
    if base in ("bit", "bit varying"):
        return f"{number % 2 ** (length or 1):0{length or 1}b}"
    if base in _MAKERS:
        return _MAKERS[base](number)
    return _text(name, number, length)


def _text(name: str, number: int, length: int) -> str:
    text = f"{name} {number}"
    if not length or len(text) <= length:
        return text
    digits = ""
    while number:
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits[-length:].rjust(length, "a")


def _moment(form: str) -> Callable[[int], str]:
    return lambda number: format(_START + dt.timedelta(days=number % 100_000, seconds=number % 86_400), form)


def _plain(number: int) -> str:
    return str(number)


_MAKERS: Mapping[str, Callable[[int], str]] = {
    **dict.fromkeys(("integer", "bigint", "numeric", "money", "oid", "xid8"), _plain),
    **dict.fromkeys(("real", "double precision"), lambda number: str(number + 0.5)),
    "smallint": lambda number: str(number % 32_768),
    "boolean": lambda number: ("false", "true")[number % 2],
    "bytea": lambda number: f"\\x{number:08x}",
    "date": _moment("%Y-%m-%d"),
    "timestamp without time zone": _moment("%Y-%m-%d %H:%M:%S"),
    "timestamp with time zone": _moment("%Y-%m-%d %H:%M:%S+00"),
    "time without time zone": _moment("%H:%M:%S"),
    "time with time zone": _moment("%H:%M:%S+00"),
    "interval": lambda number: f"{number} seconds",
    "uuid": lambda number: f"00000000-0000-4000-8000-{number:012x}",
    **dict.fromkeys(("json", "jsonb"), lambda number: f'{{"number": {number}}}'),
    "xml": lambda number: f"<a>{number}</a>",
    **dict.fromkeys(("inet", "cidr"), lambda number: f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"),
    "macaddr": lambda number: f"08:00:2b:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}",
    **dict.fromkeys(("int4range", "int8range", "numrange"), lambda number: f"[{number},{number + 1})"),
    "daterange": lambda number: f"[{_moment('%Y-%m-%d')(number)},{_moment('%Y-%m-%d')(number + 1)})",
    **dict.fromkeys(
        ("tsrange", "tstzrange"), lambda number: f"[{_moment('%Y-%m-%d')(number)},{_moment('%Y-%m-%d')(number + 1)})"
    ),
    "point": lambda number: f"({number},1)",
    "tsvector": lambda number: f"word{number}",
}


def guesses(column: FillColumn, number: int, count: int) -> Iterator[str]:
    """Yield values that the CHECKs of a column may allow, the likeliest first; `count` of each kind with numbers."""
    for check in column.checks:
        texts = [text.replace("''", "'") for text in _TEXT.findall(check)]
        figures = [float(figure) if "." in figure else int(figure) for figure in _NUMBER.findall(check)]
        figures += [-figure for figure in figures if f"-{figure}" in check or f"({-figure})" in check]
        yield from texts
        yield from map(str, figures)
        yield from _near(figures, count)
        if "length" in check:
            yield from _of_sizes(figures, number, count)
        yield from _patterns(texts, number, count)
    yield from USUAL if column.checks else ()


def _near(figures: list[float], count: int) -> Iterator[str]:
    for step in range(1, count + 1):
        yield from (str(figure + sign * step) for figure in figures for sign in (1, -1))


def _of_sizes(figures: list[float], number: int, count: int) -> Iterator[str]:
    for size in sorted({int(figure) + more for figure in figures for more in (0, 1, -1)}):
        if 0 < size <= _LONGEST:
            for each in range(number, number + count):
                yield from (str(each)[-size:].rjust(size, fill) for fill in ("0", "a"))
                yield f"{each:0{size}x}"[-size:]


def _patterns(texts: list[str], number: int, count: int) -> Iterator[str]:
    """Yield texts for the patterns of LIKE, and texts that contain those of the CHECK."""
    for text in texts:
        for each in range(number, number + count):
            yield text.replace("%", str(each))
            yield f"{text}{each}"
