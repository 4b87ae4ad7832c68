"""Guess values for a column from the text of its CHECKs. SQLite decides later which of them the CHECKs allow."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from usage_store.engines.sqlite.filling.value_of_a_type import in_digits
from usage_store.engines.sqlite.schema.sql_tokens import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from usage_store.engines.sqlite.filling.read_checks import Check
    from usage_store.engines.sqlite.filling.read_tables import FillColumn
    from usage_store.engines.sqlite.schema.sql_tokens import Token

_LONGEST = 100_000  # characters
_ALPHABETS = ("0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_USUAL: tuple[Any, ...] = (
    *(1, 0, -1, 0.5, 100, "a", "A", "", "1", "{}", "[]", '{"a": 1}', "[1]", "2020-01-01", "2020-01-01 12:00:00"),
    *("2020-01-01T12:00:00Z", "12:00:00", 1_577_880_000, 1_577_880_000_000, b"\x01", "a@example.com"),
    *("https://example.com/", "/a", "127.0.0.1", "#aabbcc", "00000000-0000-4000-8000-000000000001"),
)
_GLOB = re.compile(r"\[(\^?)(\]?[^\]]*)\]|(\*)|(\?)|(.)", re.DOTALL)


def values_of_checks(checks: Sequence[Check], column: FillColumn, number: int, count: int) -> list[Any]:
    """Return values that the CHECKs of a column may allow, `count` of each kind, the likeliest first."""
    found: list[Any] = []
    for check in checks:
        texts, figures = _literals(check.tokens)
        words = {token.keyword for token in check.tokens}
        numbers = range(number, number + count)
        found += [*texts, *figures]
        found += [made for each in numbers for made in _patterns(check.tokens, each)]
        if "length" in words or "octet_length" in words:
            sizes = sorted({int(figure) + more for figure in figures for more in (0, -1, 1)} or {1})
            found += [
                made for size in sizes if 0 < size <= _LONGEST for each in numbers for made in _of_length(size, each)
            ]
        found += [made for each in numbers for alphabet in _ALPHABETS for made in [in_digits(each, alphabet, 3)]]
        found += [made for each in range(1, count + 1) for figure in figures for made in _near(figure, each)]
        found += [made for text in texts for each in numbers for made in (f"{text}{each}", f"{each}{text}{each}", text * 2)]
    return [*found, *_default(column), *_USUAL]


def _literals(parts: Sequence[Token]) -> tuple[list[Any], list[Any]]:
    """List the texts (and blobs) and the numbers in an expression."""
    texts: list[Any] = []
    figures: list[Any] = []
    for index, part in enumerate(parts):
        if part.kind == "string":
            texts.append(bytes.fromhex(part.text[2:-1]) if part.text[0] in "xX" else name_of(part))
        elif part.kind == "number":
            figure = _figure(part.text)
            figures.append(-figure if index and parts[index - 1].says("-") and not _is_value(parts, index - 2) else figure)
    return texts, figures


def _is_value(parts: Sequence[Token], index: int) -> bool:
    """Return whether a minus after this token subtracts."""
    return index >= 0 and (parts[index].kind in ("number", "quoted", "string") or parts[index].says(")"))


def _figure(text: str) -> int | float:
    text = text.replace("_", "")
    if text[:2] in ("0x", "0X"):
        return int(text, 16)
    return int(text) if text.isdigit() else float(text)


def _near(figure: float, step: int) -> Iterator[Any]:
    yield from (figure + step, figure - step, figure * (step + 1))
    yield figure + (step - 0.5 if isinstance(figure, int) else step / 100)
    if isinstance(figure, float):
        yield figure - step / 100


def _of_length(size: int, number: int) -> Iterator[Any]:
    for alphabet in _ALPHABETS:
        yield in_digits(number, alphabet, size)[-size:]
    yield number.to_bytes(max(size, 8), "big")[-size:]


def _default(column: FillColumn) -> Iterator[Any]:
    if column.default is not None:
        text = column.default
        if text[:1] == "'":
            yield text[1:-1].replace("''", "'")
        else:
            with suppress(ValueError):
                yield _figure(text.strip("()"))


def _patterns(parts: Sequence[Token], number: int) -> Iterator[str]:
    """Yield texts that fit the patterns after LIKE and GLOB."""
    for index, part in enumerate(parts[:-1]):
        following = parts[index + 1]
        if following.kind == "string":
            pattern = name_of(following)
            if part.says("like"):
                text = str(number)
                yield "".join(text if each == "%" else "a" if each == "_" else each for each in pattern)
                yield "".join("" if each == "%" else "a" if each == "_" else each for each in pattern)
            elif part.says("glob"):
                yield from (_globbed(pattern, number, str(number)), _globbed(pattern, number, ""))


def _globbed(pattern: str, number: int, anything: str) -> str:
    """Return a text that fits a GLOB; different numbers give different texts, as far as its classes allow."""
    made: list[str] = []
    for match in reversed([*_GLOB.finditer(pattern)]):
        negated, members, star, mark, letter = match.groups()
        if members is not None:
            choice = _members(members, negated=bool(negated))
            number, digit = divmod(number, len(choice))
            made.append(choice[digit])
        else:
            made.append(anything if star else "a" if mark else letter)
    return "".join(reversed(made))


def _members(written: str, *, negated: bool) -> str:
    found = ""
    rest = written
    while rest:
        if len(rest) > 2 and rest[1] == "-":  # noqa: PLR2004  a range
            found += "".join(map(chr, range(ord(rest[0]), min(ord(rest[2]), ord(rest[0]) + 200) + 1)))
            rest = rest[3:]
        else:
            found += rest[0]
            rest = rest[1:]
    if negated:
        found = "".join(each for alphabet in _ALPHABETS for each in alphabet if each not in found)
    return found or "a"
