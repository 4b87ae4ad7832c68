"""Edit the text of a CREATE TABLE statement, and leave every other byte of it as it is.

The grammar is that of sqlite.org/lang_createtable.html. The text comes from sqlite_master, so SQLite has accepted it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from usage_store.engines.sqlite.schema import sql_tokens
from usage_store.engines.sqlite.schema.sql_tokens import fold, quoted
from usage_store.errors import ImpossibleChange, UnknownColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from usage_store.engines.sqlite.schema.sql_tokens import Token

_TABLE_LEVEL = ("constraint", "primary", "unique", "check", "foreign")
_COLUMN_LEVEL = {*_TABLE_LEVEL, "not", "null", "default", "references", "collate", "generated", "as", "deferrable"}
# The next token belongs to these keywords, whatever it is; GENERATED ALWAYS AS takes two.
_STEPS = {"constraint": 2, "references": 2, "collate": 2, "not": 2, "set": 2, "generated": 3}
_BLANK = " \t\r\n\f"


@dataclass(frozen=True, slots=True)
class Clause:
    """A constraint, default, collation or similar: its kind (the first keyword), its name or None, and its tokens."""

    kind: str
    name: str | None
    tokens: tuple[Token, ...]

    @property
    def span(self) -> tuple[int, int]:
        """Where the clause starts and ends in the text."""
        return self.tokens[0].start, self.tokens[-1].end


def clauses(part: Sequence[Token]) -> list[Clause]:
    """Split a table constraint, or the tokens after a column's name, into clauses; the column's type is none."""
    starts: list[int] = []
    index = 0
    while index < len(part):
        if part[index].keyword in _COLUMN_LEVEL and _opens(part, starts, index):
            starts.append(index)
        index = _next(part, index)
    return [_clause(part[start:end]) for start, end in pairwise([*starts, len(part)])]


def _opens(part: Sequence[Token], starts: Sequence[int], index: int) -> bool:
    keyword = part[index]
    named = index > 1 and part[index - 2].says("constraint") and not keyword.says("constraint")
    inside_foreign = bool(starts) and _kind(part[starts[-1] :]) == "foreign"
    return not named and (not inside_foreign or keyword.keyword in _TABLE_LEVEL)


def _next(part: Sequence[Token], index: int) -> int:
    token = part[index]
    if token.says("("):
        return sql_tokens.closing_of(part, index) + 1
    if token.says("default"):
        if part[index + 1].says("("):
            return sql_tokens.closing_of(part, index + 1) + 1
        return index + (3 if part[index + 1].says("+", "-") else 2)
    return index + _STEPS.get(token.keyword, 1)


def _kind(part: Sequence[Token]) -> str:
    words = [token.text.lower() for token in (part[2:4] if part[0].says("constraint") else part[:2])]
    if words[:1] == ["not"]:
        return "not null" if words[1] == "null" else words[1]
    return words[0] if words else "constraint"


def _clause(part: Sequence[Token]) -> Clause:
    name = sql_tokens.name_of(part[1]) if part[0].says("constraint") else None
    return Clause(_kind(part), name, tuple(part))


def column_part(sql: str, column: str) -> tuple[Token, ...]:
    """Return the tokens of a column's definition. The case of the name does not matter. Raises UnknownColumn."""
    parts = sql_tokens.parse_table(sql).columns
    for part in parts:
        if fold(sql_tokens.name_of(part[0])) == fold(column):
            return part
    names = ", ".join(sql_tokens.name_of(part[0]) for part in parts)
    raise UnknownColumn(f"{_table_of(sql)}: no column {column!r}; there are: {names}")


def follows_comment(sql: str, column: str) -> bool:
    """Return whether the last of several columns has a comment between it and the column before. False for others."""
    columns = sql_tokens.parse_table(sql).columns
    part = column_part(sql, column)
    if len(columns) == 1 or part != columns[-1]:
        return False
    return sql[columns[-2][-1].end : part[0].start].strip() != ","


def add_column(sql: str, definition: str) -> str:
    """Add a column definition after the last column."""
    return _append(sql, sql_tokens.parse_table(sql).columns[-1], definition)


def add_constraint(sql: str, name: str, constraint: str) -> str:
    """Add a named table constraint after the last one. Raises ImpossibleChange if the name exists."""
    if any(fold(name) == fold(there) for there in _named(sql)):
        raise ImpossibleChange(f"{_table_of(sql)}: there is already a constraint {name!r}")
    table = sql_tokens.parse_table(sql)
    return _append(sql, (table.constraints or table.columns)[-1], f"CONSTRAINT {quoted(name)} {constraint}")


def drop_column(sql: str, column: str) -> str:
    """Remove a column. Raises ImpossibleChange for the only column."""
    part = column_part(sql, column)
    first, *others = sql_tokens.parse_table(sql).columns
    if not others:
        raise ImpossibleChange(f"{_table_of(sql)}: column {column!r} cannot be dropped; it is the only column")
    return _without(sql, [_comma_before(sql, others[0] if part == first else part), (part[0].start, part[-1].end)])


def own_rules(sql: str, column: str) -> list[str]:
    """Return the kinds of the table's FOREIGN KEYs and UNIQUEs over this one column: "foreign", "unique"."""
    parts = sql_tokens.parse_table(sql).constraints
    return [clause.kind for part in parts for clause in clauses(part) if _is_own(clause, column)]


def drop_own_rules(sql: str, column: str) -> str:
    """Remove the table's FOREIGN KEYs and UNIQUEs over this one column."""
    return _drop(sql, lambda clause: _is_own(clause, column))


def drop_constraint(sql: str, name: str) -> str:
    """Remove the constraint of a name, from the table or from a column.

    Raises ImpossibleChange unless exactly one has it.
    """
    if sum(fold(name) == fold(there) for there in _named(sql)) != 1:
        names = ", ".join(_named(sql)) or "no named ones"
        raise ImpossibleChange(f"{_table_of(sql)}: not exactly one constraint is named {name!r}; there are: {names}")
    return _drop(sql, lambda clause: clause.name is not None and fold(clause.name) == fold(name))


def drop_foreign_key(sql: str, column: str) -> str:
    """Remove the foreign key of one column, with its actions and its deferral.

    Foreign keys over several columns stay. Raises ImpossibleChange if the column has no foreign key of its own.
    """
    part = column_part(sql, column)

    def concerned(clause: Clause) -> bool:
        if clause.kind == "foreign":
            return _is_own(clause, column)
        return clause.kind == "references" and clause.tokens[0] in part

    without = _drop(sql, concerned)
    if without == sql:
        raise ImpossibleChange(f"{_table_of(sql)}: column {column!r} has no foreign key of its own")
    return without


def _is_own(clause: Clause, column: str) -> bool:
    if clause.kind not in ("foreign", "unique"):
        return False
    lists = sql_tokens.after(
        clause.tokens, "key" if clause.kind == "foreign" else "unique"
    )  # a clause of a column has no such list
    return bool(lists) and [fold(sql_tokens.name_of(part[0])) for part in sql_tokens.split(lists[0])] == [fold(column)]


def set_type(sql: str, column: str, datatype: str) -> str:
    """Change the type of a column, and nothing else of it."""
    part = column_part(sql, column)
    typed = _head(part)[1:]
    if not typed:
        return _replace(sql, (part[0].end, part[0].end), datatype)
    return _replace(sql, (typed[0].start, typed[-1].end), datatype)


def set_not_null(sql: str, column: str) -> str:
    """Forbid NULL in a column."""
    part = column_part(sql, column)
    if any(clause.kind == "not null" for clause in clauses(part[1:])):
        return sql
    sql = _drop(sql, lambda clause: clause.kind == "null" and clause.tokens[0] in part)
    end = _head(part)[-1].end
    return _replace(sql, (end, end), "NOT NULL")


def drop_not_null(sql: str, column: str) -> str:
    """Allow NULL in a column."""
    part = column_part(sql, column)
    return _drop(sql, lambda clause: clause.kind == "not null" and clause.tokens[0] in part)


def set_default(sql: str, column: str, value: str) -> str:
    """Set the default of a column, and replace the one that it has."""
    part = column_part(sql, column)
    there = [clause for clause in clauses(part[1:]) if clause.kind == "default"]
    if not there:
        end = _head(part)[-1].end
        return _replace(sql, (end, end), f"DEFAULT {value}")
    default = there[-1].tokens  # SQLite, too, uses the last one
    word = next(index for index, token in enumerate(default) if token.says("default"))
    return _replace(sql, (default[word + 1].start, default[-1].end), value)


def drop_default(sql: str, column: str) -> str:
    """Remove the default of a column."""
    part = column_part(sql, column)
    return _drop(sql, lambda clause: clause.kind == "default" and clause.tokens[0] in part)


def _table_of(sql: str) -> str:
    every = sql_tokens.tokens(sql)
    return sql_tokens.name_of(every[next(index for index, token in enumerate(every) if token.says("(")) - 1])


def _head(part: tuple[Token, ...]) -> tuple[Token, ...]:
    following = clauses(part[1:])
    return part[: part.index(following[0].tokens[0])] if following else part


def _named(sql: str) -> list[str]:
    table = sql_tokens.parse_table(sql)
    parts = [*(part[1:] for part in table.columns), *table.constraints]
    return [clause.name for part in parts for clause in clauses(part) if clause.name is not None]


def _drop(sql: str, concerned: Callable[[Clause], bool]) -> str:
    table = sql_tokens.parse_table(sql)
    spans = []
    for part in table.columns:
        undeferred = False
        for clause in clauses(part[1:]):
            if clause.kind == "references":
                undeferred = concerned(clause)
            # DEFERRABLE must be removed, too: alone, it would apply to the foreign key of an earlier column.
            if concerned(clause) or (clause.kind == "deferrable" and undeferred):
                spans.append(clause.span)
    for part in table.constraints:
        there = clauses(part)
        gone = [clause.span for clause in there if concerned(clause)]
        spans += gone
        if len(gone) == len(there):
            spans.append(_comma_before(sql, part))
    return _without(sql, spans)


def _comma_before(sql: str, part: tuple[Token, ...]) -> tuple[int, int]:
    comma = next(token for token in reversed(sql_tokens.tokens(sql)) if token.end <= part[0].start)
    return comma.start, comma.end


def _append(sql: str, part: tuple[Token, ...], text: str) -> str:
    at = part[-1].end
    following = next(token for token in sql_tokens.tokens(sql) if token.start >= at)
    if sql[at : following.start].strip():  # a comment after the last part stays next to it
        at = following.start
    return f"{sql[:at]}, {text}{sql[at:]}"


def _replace(sql: str, span: tuple[int, int], text: str) -> str:
    start, end = span
    before = "" if sql[start - 1] in _BLANK else " "
    after = "" if sql[end] in _BLANK + ",)" else " "
    return f"{sql[:start]}{before}{text}{after}{sql[end:]}"


def _without(sql: str, spans: Iterable[tuple[int, int]]) -> str:
    for start, end in sorted(spans, reverse=True):
        # Remove the blanks before it, too. Keep a line break, because it may end a comment, and a blank that separates
        # two words.
        blank = start
        while sql[blank - 1] in " \t" and sql[end] in _BLANK + ",)":
            blank -= 1
        sql = sql[:blank] + sql[end:]
    return sql
