"""Take the DDL that `read_objects` writes apart again: columns, keys and rules of a table. Nothing is read here.

All names are those of the server, with their case of letters and without quotes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from usage_store.engines.interface.schema_differences import Catalog, Column, ForeignKey, Table
from usage_store.engines.postgresql.catalogs.read_objects import spelled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from usage_store.engines.interface.schema_objects import SchemaObject

_NAME = r'(?:"(?:[^"]|"")+"|[^\s",().]+)'
_TABLE = re.compile(rf"CREATE (UNLOGGED |FOREIGN )?TABLE {_NAME} \(\n(.*)\n\)(.*)", re.DOTALL)
_TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|[,;]\n|[^'",;]+|.""", re.DOTALL)
_COLUMN = re.compile(
    rf"({_NAME}) (.+?)(?: COLLATE ((?:{_NAME}\.)?{_NAME}))?( NOT NULL)?"
    r"(?: DEFAULT (.*)| GENERATED (ALWAYS|BY DEFAULT) AS (.*))?",
    re.DOTALL,
)
_CONSTRAINT = re.compile(rf"CONSTRAINT ({_NAME}) (PRIMARY KEY|UNIQUE|CHECK|FOREIGN KEY|EXCLUDE)\b(.*)", re.DOTALL)
_KEY = re.compile(r"( NULLS NOT DISTINCT)? \((.*?)\)(.*)", re.DOTALL)
_REFERENCE = re.compile(rf" \((.*?)\) REFERENCES ((?:{_NAME}\.)?{_NAME})\((.*?)\)(.*)", re.DOTALL)
_ACTION = r" ON {} (NO ACTION|RESTRICT|CASCADE|SET NULL|SET DEFAULT)(?! \()"
_DEFERRED = " DEFERRABLE INITIALLY DEFERRED"
_BY_DEFAULT = re.compile(r"_(?:pkey|key|check|fkey|excl)\d*$")  # names that the server gives by itself


def catalog_of(objects: Iterable[SchemaObject]) -> Catalog:
    """Return the catalog of objects with the names of the server. Triggers are named `trigger on table`."""
    tables: dict[str, Table] = {}
    others: dict[str, tuple[str, str, str]] = {}
    for each in objects:
        if each.kind == "table":
            tables[each.table] = table_of(each.sql)
        else:
            name = _name_of(each)
            if name in others:  # an index may have the name of a type
                name = f"{name} ({each.kind})"
            others[name] = each.kind, each.table, each.sql
    return Catalog(tables, others)


def _name_of(each: SchemaObject) -> str:
    if each.kind == "trigger":
        return f"{unquoted(each.name.removesuffix(f' on {spelled(each.table)}'))} on {each.table}"
    return each.name if each.kind in ("function", "procedure") else unquoted(each.name)


def unquoted(name: str) -> str:
    """Return a name without its double quotes, if it has any."""
    return name[1:-1].replace('""', '"') if name[:1] == '"' else name


def table_of(sql: str) -> Table:
    """Return the table of a CREATE TABLE as `read_objects` writes it. Raises ValueError for any other text."""
    statement, *further = _split(sql, ";\n")
    found = _TABLE.fullmatch(statement)
    if found is None:
        raise ValueError("it is no CREATE TABLE with one column a line")
    kind, body, end = found.groups()
    lines = [line.removeprefix("  ") for line in _split(body, ",\n")] if body else []
    columns = dict(_column(line) for line in lines if not line.startswith("CONSTRAINT "))
    parts = _Parts(columns)
    for line in lines:
        if line.startswith("CONSTRAINT "):
            parts.add(line)
    said = [text.strip().lower() for text in (kind or "", end) if text]
    return Table(
        parts.columns,
        tuple(sorted(parts.checks)),
        tuple(sorted(parts.uniques)),
        tuple(sorted(parts.foreign_keys)),
        (),
        tuple(sorted([*said, *parts.besides, *(" ".join(line.split()) for line in further)])),
        tuple(columns),
    )


def _split(text: str, separator: str) -> list[str]:
    """Split a text at a separator, but not inside quotes."""
    if "'" not in text and '"' not in text:
        return text.split(separator)
    parts = [""]
    for found in _TOKEN.finditer(text):
        if found[0] == separator:
            parts.append("")
        else:
            parts[-1] += found[0]
    return parts


def _column(line: str) -> tuple[str, Column]:
    found = _COLUMN.fullmatch(line)
    if found is None:
        raise ValueError(f"{line!r} is no column")
    name, type_, collation, not_null, default, when, generated = found.groups()
    if generated is not None:
        generated = f"{when} as {generated}".lower() if generated.startswith("IDENTITY") else generated
    return unquoted(name), Column(type_, not_null is not None, default, 0, collation and unquoted(collation), generated)


class _Parts:
    """The rules of a table, read from one line each."""

    def __init__(self, columns: dict[str, Column]) -> None:
        self.columns = columns
        self.checks: list[str] = []
        self.uniques: list[tuple[str, ...]] = []
        self.foreign_keys: list[ForeignKey] = []
        self.besides: list[str] = []

    def add(self, line: str) -> None:
        """Add the rule of a line."""
        found = _CONSTRAINT.fullmatch(line)
        if found is None:
            raise ValueError(f"{line!r} is no constraint")
        name, kind, rest = found.groups()
        if kind == "CHECK":
            inside, rest = in_parentheses(rest)
            self.checks.append(inside + rest)
        elif kind == "FOREIGN KEY":
            inside, rest = self._add_foreign_key(rest)
        elif kind == "EXCLUDE":
            inside, rest = rest.strip(), ""
            self.besides.append(f"exclude {inside}")
        else:
            inside, rest = self._add_key(kind, rest)
        if rest and kind != "CHECK":
            self.besides.append(f"{kind.lower()} ({inside}){rest.lower()}")
        if not _BY_DEFAULT.search(unquoted(name)):
            self.besides.append(f"constraint {unquoted(name)}, {kind.lower()} ({inside})")

    def _add_key(self, kind: str, text: str) -> tuple[str, str]:
        found = _KEY.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no key")
        nulls, names, rest = found.groups()
        columns = tuple(_names(names))
        if kind == "UNIQUE":
            self.uniques.append(columns)
        else:
            for place, name in enumerate(columns, 1):
                old = self.columns[name]
                self.columns[name] = Column(old.type, old.not_null, old.default, place, old.collation, old.generated)
        return ", ".join(columns), (nulls or "") + rest

    def _add_foreign_key(self, text: str) -> tuple[str, str]:
        found = _REFERENCE.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no foreign key")
        names, table, targets, rest = found.groups()
        on_delete, rest = _action("DELETE", rest)
        on_update, rest = _action("UPDATE", rest)
        deferred, rest = _DEFERRED in rest, rest.replace(_DEFERRED, "")
        columns = tuple(_names(names))
        key = ForeignKey(columns, unquoted(table), tuple(_names(targets)), on_delete, on_update, deferred)
        self.foreign_keys.append(key)
        return ", ".join(columns), rest


def _names(text: str) -> Iterator[str]:
    return (unquoted(name) for name in re.findall(r'"(?:[^"]|"")+"|[^\s",]+', text))


def _action(event: str, text: str) -> tuple[str, str]:
    found: Sequence[str] = re.split(_ACTION.format(event), text)
    return (found[1].lower(), found[0] + found[2]) if len(found) > 1 else ("no action", text)


def in_parentheses(text: str) -> tuple[str, str]:
    """Return the expression of a CHECK without the parentheses around it, and what follows it."""
    end = text.rindex(")") + 1
    inside, rest = text[:end].strip(), text[end:]
    while inside[:1] == "(" and _closing(inside) == len(inside) - 1:
        inside = inside[1:-1]
    return inside, rest


def _closing(text: str) -> int:
    """Return the place of the parenthesis that closes the first character."""
    depth = 0
    for found in re.finditer(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|[()]""", text):
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if depth == 0:
            return found.start()
    return -1
