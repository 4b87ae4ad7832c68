"""Read the CHECKs, collations and ON CONFLICT clauses of a CREATE TABLE, which no pragma reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from usage_store.engines.interface.schema_objects import text_literal
from usage_store.engines.sqlite.schema import sql_tokens
from usage_store.engines.sqlite.schema.edit_create_table import clauses
from usage_store.engines.sqlite.schema.sql_tokens import fold, name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from usage_store.engines.sqlite.schema.sql_tokens import Token

_NAMES = ("word", "quoted")
_NESTED = 5  # a generated column may be made from others


@dataclass(frozen=True, slots=True)
class Check:
    """A CHECK: its name or its text, its tokens with generated columns spelled out, and its columns in lower case."""

    name: str
    tokens: tuple[Token, ...]
    columns: tuple[str, ...]

    @property
    def sql(self) -> str:
        """The expression."""
        return spelled(self.tokens)


@dataclass(frozen=True, slots=True)
class ReadChecks:
    """The CHECKs of a table, the collations of its columns, and whether a rule of it says ON CONFLICT.

    `made_from` gives, for each generated column, the columns from which it is made.
    """

    checks: tuple[Check, ...] = ()
    collations: Mapping[str, str] = field(default_factory=dict)
    made_from: Mapping[str, frozenset[str]] = field(default_factory=dict)
    on_conflict: bool = False


@lru_cache(maxsize=1_000)
def read_checks(sql: str) -> ReadChecks:
    """Read a CREATE TABLE statement."""
    lower = sql.lower()
    if not any(word in lower for word in ("check", "collate", "conflict", "as")):
        return ReadChecks()
    parsed = sql_tokens.parse_table(sql)
    parts = {fold(name_of(part[0])): part for part in parsed.columns}
    own = [(column, clause) for column, part in parts.items() for clause in clauses(part[1:])]
    every = [*(clause for _, clause in own), *(clause for part in parsed.constraints for clause in clauses(part))]
    generated = {
        column: sql_tokens.after(clause.tokens, "as")[0] for column, clause in own if clause.kind in ("as", "generated")
    }
    return ReadChecks(
        tuple(
            _check(clause.name, sql_tokens.after(clause.tokens, "check")[0], parts, generated)
            for clause in every
            if clause.kind == "check"
        ),
        {column: name_of(clause.tokens[-1]) for column, clause in own if clause.kind == "collate"},
        {column: frozenset(_check(None, made, parts, generated).columns) for column, made in generated.items()},
        any(token.says("conflict") for clause in every for token in clause.tokens),
    )


def _check(
    name: str | None,
    written: Sequence[Token],
    columns: Iterable[str],
    generated: Mapping[str, Sequence[Token]],
) -> Check:
    parts = _unqualified(written)
    for _ in range(_NESTED):
        parts = [each for part in parts for each in _spelled_out(part, generated)]
    known = set(columns)
    parts = [_as_string(part) if part.text[0] == '"' and fold(name_of(part)) not in known else part for part in parts]
    used = dict.fromkeys(fold(name_of(part)) for part in parts if part.kind in _NAMES)
    return Check(name or spelled(written), tuple(parts), tuple(column for column in used if column in known))


def _unqualified(parts: Sequence[Token]) -> list[Token]:
    """Leave out the name of the table before the name of a column."""
    kept: list[Token] = []
    for part in parts:
        if kept and kept[-1].says("."):
            del kept[-2:]
        kept.append(part)
    return kept


def _spelled_out(part: Token, generated: Mapping[str, Sequence[Token]]) -> Sequence[Token]:
    expression = generated.get(fold(name_of(part))) if part.kind in _NAMES else None
    if expression is None:
        return (part,)
    return (
        part._replace(kind="symbol", text="(", keyword="("),
        *expression,
        part._replace(kind="symbol", text=")", keyword=")"),
    )


def _as_string(part: Token) -> Token:
    """Write a word in double quotes as the string for which SQLite takes it if no column has this name."""
    return part._replace(kind="string", text=text_literal(name_of(part)))


def spelled(parts: Iterable[Token]) -> str:
    """Write tokens as SQL again."""
    return " ".join(part.text for part in parts)
