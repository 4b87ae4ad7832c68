"""Find the rules of a table that its model does not state, so that a rebuild from the model drops them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.engines.interface.models_and_tables import lost
from usage_store.engines.sqlite.schema import sql_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from usage_store.engines.interface.schema_differences import ForeignKey, Table

_NO_ACTION = "no action"


def dropped_rules(old: Table, new: Table, indexes: Mapping[str, str], wanted: Mapping[str, str]) -> Iterator[str]:
    """Yield each rule of the old table that the new table does not have. Each line continues the table's name.

    `indexes` and `wanted` are the CREATE INDEX statements of the old and of the new table, by name. A rule over a
    dropped column is not reported, because another line reports the column.
    """
    unique = {_key(new), *map(frozenset, new.uniques), *map(_unique_columns, wanted.values())} - {None}
    rules = set(map(_rule, wanted.values()))
    gone = set(lost(old, new))
    for name, was in old.columns.items():
        column = new.columns.get(name)
        if column is not None and name not in gone:
            yield from (
                f".{name}: {rule}"
                for rule, before, after in (
                    (f"DEFAULT {was.default}", was.default, column.default),
                    (f"COLLATE {was.collation}", was.collation, column.collation),
                    (f"GENERATED AS {was.generated}", was.generated, column.generated),
                )
                if before not in (None, "null", "binary") and after is None
            )
    yield from (f": CHECK ({check})" for check in _left_over(old.checks, new.checks) if not _names(check) & gone)
    yield from (
        f": UNIQUE ({', '.join(columns)})"
        for columns in old.uniques
        if frozenset(columns) not in unique and not gone.intersection(columns)
    )
    for key in old.foreign_keys:
        if not gone.intersection(key.columns):
            yield from _of_reference(key, [other for other in new.foreign_keys if other.columns == key.columns])
    yield from (f": {option.upper()}" for option in old.options if option not in new.options)
    for name, index in indexes.items():
        kept = _unique_columns(index) in unique or _says_more(wanted.get(name), index) or _rule(index) in rules
        if not (kept or _is_plain(index) or _names(index) & gone):
            yield f": {' '.join(index.split())}"


def _of_reference(key: ForeignKey, instead: Sequence[ForeignKey]) -> Iterator[str]:
    where = ", ".join(key.columns)
    if not instead:
        yield f".{where}: REFERENCES {key.table} ({', '.join(key.targets)})"
        return
    for name, before, after in (
        ("DELETE", key.on_delete, instead[0].on_delete),
        ("UPDATE", key.on_update, instead[0].on_update),
    ):
        if after == _NO_ACTION != before:
            yield f".{where}: ON {name} {before.upper()}"
    if key.deferred and not instead[0].deferred:
        yield f".{where}: DEFERRABLE INITIALLY DEFERRED"


def _unique_columns(index: str) -> frozenset[str] | None:
    """Return the columns that a CREATE INDEX makes unique, or None if it is another kind of index."""
    return frozenset(_plain_columns(index)) or None if _is_unique(index) else None


def _is_plain(index: str) -> bool:
    """Return whether a CREATE INDEX states no rule and only makes reads faster."""
    return not _is_unique(index) and bool(_plain_columns(index))


def _says_more(instead: str | None, index: str) -> bool:
    """Return whether the model has an index of this name that states at least the same kinds of rules."""
    return instead is not None and not _is_plain(instead) and _is_unique(instead) >= _is_unique(index)


def _is_unique(index: str) -> bool:
    return sql_tokens.tokens(index)[1].says("unique")


def _rule(index: str) -> tuple[bool, str]:
    """Return the definition of an index without its name."""
    parts = sql_tokens.tokens(index)
    return _is_unique(index), sql_tokens.normal(parts[3 + _is_unique(index) :])


def _plain_columns(index: str) -> list[str]:
    """Return the columns of an index; none if it has an expression, a collation or a WHERE."""
    parts = [part for part in sql_tokens.tokens(index) if not part.says("asc", "desc")]
    opening = next(place for place, part in enumerate(parts) if part.says("("))
    columns = sql_tokens.split(parts[opening + 1 : sql_tokens.closing_of(parts, opening)])
    plain = parts[-1].says(")") and all(len(column) == 1 for column in columns)
    return [sql_tokens.name_of(column[0]).lower() for column in columns] if plain else []


def _key(table: Table) -> frozenset[str]:
    return frozenset(name for name, column in table.columns.items() if column.primary_key)


def _left_over(before: Sequence[str], after: Sequence[str]) -> list[str]:
    left = list(before)
    for rule in after:
        if rule in left:
            left.remove(rule)
    return left


def _names(expression: str) -> set[str]:
    return {sql_tokens.name_of(token).lower() for token in sql_tokens.tokens(expression)}
