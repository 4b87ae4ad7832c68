"""Find the rules of a table that its model does not state, so that a migration from the model drops them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from usage_store.engines.interface.models_and_tables import lost
from usage_store.engines.postgresql.from_models.read_tables import ALWAYS, AUTO

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from usage_store.engines.interface.schema_differences import Column, ForeignKey
    from usage_store.engines.postgresql.from_models.read_tables import Index, ServerTable

_NO_ACTION = "no action"
_NULL_ONCE = "NULLS NOT DISTINCT"


def dropped_rules(old: ServerTable, new: ServerTable, unstated: set[str]) -> Iterator[str]:
    """Yield each rule of the old table that the new table does not have. Each line continues the table's name.

    A rule over a dropped column is not reported, because another line reports the column. `unstated` are columns whose
    references a model does not state.
    """
    gone = set(lost(old.table, new.table))
    moved = {name for name, was in old.table.columns.items() if was.type != new.table.columns.get(name, was).type}
    for name, was in old.table.columns.items():
        column = new.table.columns.get(name)
        if column is not None and name not in gone:
            yield from (f".{name}: {rule}" for rule in _of_column(was, column))
    stated = {each.sql for each in new.constraints.values()}
    alike = {_plain(each.sql) for each in new.constraints.values()}
    unique = {frozenset(each.columns) for each in new.constraints.values() if each.kind in ("p", "u")}
    unique |= {frozenset(index.columns) for index in new.indexes.values() if index.unique and index.columns}
    for each in old.constraints.values():
        sql = each.sql.removesuffix(" NOT VALID")
        is_kept = sql in stated or each.kind in ("f", "p")
        is_kept |= not moved.isdisjoint(each.columns) and _plain(sql) in alike
        is_kept |= each.kind == "u" and _NULL_ONCE not in sql and frozenset(each.columns) in unique
        if not is_kept and not gone.intersection(each.columns):
            yield f": {each.sql}"
    for key in old.table.foreign_keys:
        if not gone.intersection(key.columns) and not unstated.intersection(key.columns):
            yield from _of_reference(key, [other for other in new.table.foreign_keys if other.columns == key.columns])
    rules = {_rule(index) for index in new.indexes.values()}
    for name, index in old.indexes.items():
        instead = new.indexes.get(name)
        says_more = instead is not None and not _is_plain(instead) and instead.unique >= index.unique
        is_kept = says_more or _rule(index) in rules
        is_kept |= index.unique and _NULL_ONCE not in index.sql and frozenset(index.columns) in unique
        if not (is_kept or _is_plain(index) or gone.intersection(index.columns)):
            yield f": {index.sql}"


def _plain(rule: str) -> str:
    """Return a rule without casts and parentheses, which change with the type of a column."""
    return re.sub(r"::(?:character varying|[\w.]+)(?:\(\d+(?:,\d+)?\))?(?:\[\])*|[()]", "", rule)


def _of_column(was: Column, column: Column) -> Iterator[str]:
    default = None if was.default in (AUTO, ALWAYS) else was.default
    for rule, before, after in (
        (f"DEFAULT {was.default}", default, column.default),
        (f"COLLATE {was.collation}", was.collation, column.collation),
        (f"GENERATED AS {was.generated}", was.generated, column.generated),
    ):
        if before is not None and after is None:
            yield rule


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


def _is_plain(index: Index) -> bool:
    """Return whether an index states no rule and only makes reads faster."""
    return not index.unique and bool(index.columns)


def _rule(index: Index) -> str:
    """Return the definition of an index without its name."""
    return index.sql.partition(" ON ")[2] + " UNIQUE" * index.unique
