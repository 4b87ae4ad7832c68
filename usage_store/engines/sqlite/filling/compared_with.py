"""Find what a CHECK compares a column with: `b` with `a * 2` in `b = a * 2`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.engines.sqlite.schema.sql_tokens import fold, name_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from usage_store.engines.sqlite.filling.read_checks import Check
    from usage_store.engines.sqlite.schema.sql_tokens import Token

_COMPARISONS = ("=", "==", "<", "<=", ">", ">=", "is", "between", "<>", "!=")
_ENDS = ("and", "or", "then", "else", "end", "when", ",", "not", "is", "null", *_COMPARISONS)
_DEPTHS = {"(": 1, ")": -1}


def compared_with(check: Check, column: str) -> Iterator[tuple[Token, ...]]:
    """Yield each expression that is compared with the column itself and that is more than one token."""
    parts = check.tokens
    for index, part in enumerate(parts):
        if part.kind not in ("word", "quoted") or fold(name_of(part)) != column:
            continue
        if index + 1 < len(parts) and parts[index + 1].says(*_COMPARISONS) and _begins(parts, index - 1):
            other = _up_to_end(parts[index + 2 :], 1)
            yield other
            if parts[index + 1].says("between"):
                yield _up_to_end(parts[index + 3 + len(other) :], 1)
        if index and parts[index - 1].says(*_COMPARISONS) and _begins(parts, index + 1, ")"):
            yield tuple(reversed(_up_to_end(parts[: index - 1][::-1], -1)))


def _begins(parts: Sequence[Token], index: int, bracket: str = "(") -> bool:
    return not 0 <= index < len(parts) or parts[index].says(bracket, *_ENDS)


def _up_to_end(parts: Sequence[Token], direction: int) -> tuple[Token, ...]:
    depth = 0
    for index, part in enumerate(parts):
        step = _DEPTHS.get(part.keyword, 0) * direction
        if depth + step < 0 or (depth == 0 and part.says(*_ENDS)):
            return tuple(parts[:index])
        depth += step
    return tuple(parts)
