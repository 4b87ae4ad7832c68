"""Guess values for a column from the text of its CHECKs. SQLite decides later which of them the CHECKs allow."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from usage_store.engines.sqlite.filling.value_of_a_type import in_digits, moment_of
from usage_store.engines.sqlite.schema.sql_tokens import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from usage_store.engines.sqlite.filling.read_checks import Check
    from usage_store.engines.sqlite.filling.read_tables import FillColumn
    from usage_store.engines.sqlite.schema.sql_tokens import Token

_LONGEST = 10_000  # characters
_DIGITS = "0123456789"
_ALPHABETS = (_DIGITS, "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_USUAL: tuple[Any, ...] = (
    *(1, 0, -1, 0.5, 100, "a", "A", "", "1", "{}", "[]", '{"a": 1}', "[1]", 1_577_880_000, 1_577_880_000_000, b"\x01"),
    *("a@example.com", "https://example.com/", "/a", "127.0.0.1", "#aabbcc", "00000000-0000-4000-8000-000000000001"),
)
_MOMENTS = (
    *("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.000Z"),
    *("%Y-%m-%dT%H:%M:%S.000000Z", "%Y-%m-%dT%H:%M:%S+00:00", "%Y-%m-%dT%H:%M:%S.000000+00:00", "%Y-%m", "%H:%M", "%Y"),
)
_GLOB = re.compile(r"\[(\^?)(\]?[^\]]*)\]|(\*)|(\?)|(.)", re.DOTALL)


@lru_cache(maxsize=1_000)
def values_of_checks(checks: tuple[Check, ...], column: FillColumn, number: int, count: int) -> tuple[Any, ...]:
    """Return values that the CHECKs of a column may allow, `count` of each kind, the likeliest first."""
    found: list[Any] = []
    numbers = range(number, number + count)
    for check in checks:
        texts, figures = _literals(check.tokens)
        sizes = _sizes(figures) if any(part.says("length", "octet_length") for part in check.tokens) else []
        if any(part.text.lower().startswith("json") for part in check.tokens):
            found += [made for each in numbers for made in (f'{{"number": {each}}}', f"[{each}]")]
        found += [*texts, *figures]
        found += [made for each in numbers for made in _patterns(check.tokens, each, sizes)]
        found += [made for size in sizes for each in numbers for made in _of_size(size, each, texts)]
        found += [in_digits(each, alphabet, 3) for alphabet in _ALPHABETS for each in numbers]
        found += [made for each in range(1, count + 1) for figure in figures for made in _near(figure, each)]
        found += [
            made
            for text in texts
            for each in numbers
            for made in (f"{text}{each}", f"{each}{text}{each}", text * 2)
            if isinstance(text, str)
        ]
    found += [f"{moment_of(each):{form}}" for form in _MOMENTS for each in numbers] if checks else []
    return (*found, *_default(column), *_USUAL)


def _sizes(figures: Sequence[float]) -> list[int]:
    sizes = sorted({int(figure) + more for figure in figures for more in (0, -1, 1)})
    return [size for size in sizes if 0 < size <= _LONGEST]


def _of_size(size: int, number: int, texts: Sequence[Any]) -> Iterator[Any]:
    """Yield texts and a blob of a size; they may start with a text of the CHECK, such as `sha256:`."""
    for alphabet in _ALPHABETS:
        yield in_digits(number, alphabet, size)[-size:]
    yield number.to_bytes(max(size, 8), "big")[-size:]
    for text in texts:
        if isinstance(text, str) and len(text) < size:
            yield text + in_digits(number, _DIGITS, size - len(text))[len(text) - size :]


def _literals(parts: Sequence[Token]) -> tuple[list[Any], list[Any]]:
    """List the texts (and blobs) and the numbers in an expression."""
    texts: list[Any] = []
    figures: list[Any] = []
    for index, part in enumerate(parts):
        if part.kind == "string" and not (index and parts[index - 1].says("like", "glob")):
            texts.append(bytes.fromhex(part.text[2:-1]) if part.text[0] in "xX" else name_of(part))
        elif part.kind == "number":
            figure = _figure(part.text)
            figures.append(
                -figure if index and parts[index - 1].says("-") and not _is_value(parts, index - 2) else figure
            )
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


def _default(column: FillColumn) -> Iterator[Any]:
    if column.default is not None:
        text = column.default
        if text[:1] == "'":
            yield text[1:-1].replace("''", "'")
        else:
            with suppress(ValueError):
                yield _figure(text.strip("()"))


def _patterns(parts: Sequence[Token], number: int, sizes: Sequence[int]) -> Iterator[str]:
    """Yield texts that fit the patterns after LIKE and GLOB, also with these sizes."""
    for part, following in pairwise(parts):
        if following.kind != "string" or not part.says("like", "glob"):
            continue
        make = _liked if part.says("like") else _globbed
        shortest = make(name_of(following), number, "")
        yield from (make(name_of(following), number, str(number)), shortest)
        for size in sizes:
            if size > len(shortest):
                yield make(name_of(following), number, in_digits(number, _DIGITS, size - len(shortest)), once=True)


def _liked(pattern: str, number: int, anything: str, *, once: bool = False) -> str:
    if once:
        head, _, tail = pattern.rpartition("%")
        return _liked(head, number, "") + anything + _liked(tail, number, "")
    return "".join(anything if each == "%" else "a" if each == "_" else each for each in pattern)


def _globbed(pattern: str, number: int, anything: str, *, once: bool = False) -> str:
    """Return a text that fits a GLOB, with `anything` for each `*`, or for the last one if `once`.

    Different numbers give different texts, as far as the pattern allows.
    """
    made: list[str] = []
    for match in reversed([*_GLOB.finditer(pattern)]):
        negated, members, star, mark, letter = match.groups()
        if members is not None:
            choice = _members(members, negated=bool(negated))
            number, digit = divmod(number, len(choice))
            made.append(choice[digit])
        elif star:
            made.append(anything)
            anything = "" if once else anything
        else:
            made.append("a" if mark else letter)
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
