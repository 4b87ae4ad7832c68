"""Read the rules in a CREATE TABLE statement that no pragma reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from usage_store.engines.sqlite.schema import sql_tokens
from usage_store.engines.sqlite.schema.edit_create_table import Clause, clauses

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_ROWID = {"rowid", "oid", "_rowid_"}
_CALLED = {"primary": "primary key", "foreign": "foreign key", "references": "foreign key", "as": "generated"}
_SAME_AS_NOTHING = {"on conflict abort", "match simple"}


class _Rule(NamedTuple):
    column: str | None  # the column whose clause it is; None for a constraint of the table
    clause: Clause


@dataclass(frozen=True, slots=True)
class Written:
    """The rules of a table that no pragma reports.

    `collations` and `generated` (expressions) are by column. `deferred` are the foreign keys that are checked at
    COMMIT. `besides` has one line for each name of a constraint, ON CONFLICT and MATCH.
    """

    collations: Mapping[str, str]
    generated: Mapping[str, str]
    checks: tuple[str, ...]
    deferred: frozenset[tuple[str, ...]]
    besides: tuple[str, ...]
    autoincrement: bool


def written_rules(parsed: sql_tokens.CreateTable) -> Written:
    """Read the rules of a table. All names are in lower case."""
    columns = {sql_tokens.name_of(part[0]).lower(): part for part in parsed.columns}
    names = columns.keys() | _ROWID
    rules = [_Rule(column, clause) for column, part in columns.items() for clause in clauses(part[1:])]
    rules += [_Rule(None, clause) for part in parsed.constraints for clause in clauses(part)]
    own = [(column, clause) for column, clause in rules if column is not None]
    return Written(
        {column: sql_tokens.name_of(clause.tokens[-1]).lower() for column, clause in own if clause.kind == "collate"},
        {column: _expression(clause, "as", names) for column, clause in own if clause.kind in ("as", "generated")},
        tuple(sorted(_expression(rule.clause, "check", names) for rule in rules if rule.clause.kind == "check")),
        frozenset(_deferred(rules)),
        tuple(sorted(line for rule in rules for line in _besides(rule, names))),
        any(token.says("autoincrement") for _, clause in own if clause.kind == "primary" for token in clause.tokens),
    )


def _expression(clause: Clause, keyword: str, names: Collection[str]) -> str:
    parts = sql_tokens.after(clause.tokens, keyword)[0]
    if any(part.says(".") for part in parts):  # t.a means a, because no other table can be named here
        following = (*parts[1:], parts[-1])
        parts = tuple(
            part for part, next_ in zip(parts, following, strict=True) if not (part.says(".") or next_.says("."))
        )
    return sql_tokens.normal(parts, names)


def _columns(rule: _Rule) -> tuple[str, ...]:
    if rule.column is not None:
        return (rule.column,)
    parts = sql_tokens.split(
        sql_tokens.after(rule.clause.tokens, "unique" if rule.clause.kind == "unique" else "key")[0]
    )
    return tuple(sql_tokens.name_of(part[0]).lower() for part in parts)


def _deferred(rules: list[_Rule]) -> Iterator[tuple[str, ...]]:
    for rule in rules:
        if rule.clause.kind in ("foreign", "deferrable"):
            words = " ".join(token.keyword for token in rule.clause.tokens)
            if "deferrable initially deferred" in words and "not deferrable" not in words:
                yield _columns(rule)


def _besides(rule: _Rule, names: Collection[str]) -> Iterator[str]:
    clause = rule.clause
    words = [token.keyword for token in clause.tokens]
    said = [" ".join(words[index - 1 : index + 2]) for index, word in enumerate(words) if word == "conflict"]
    if "match" in words and "references" in words:
        said.append(" ".join(words[words.index("match") :][:2]))
    said = [each for each in said if each not in _SAME_AS_NOTHING]
    if clause.name is not None or said:
        kind = _CALLED.get(clause.kind, clause.kind)
        inside = _expression(clause, "check", names) if kind == "check" else ", ".join(_columns(rule))
        if clause.name is not None:
            yield f"constraint {clause.name.lower()}, {kind} ({inside})"
        yield from (f"{kind} ({inside}) {each}" for each in said)
