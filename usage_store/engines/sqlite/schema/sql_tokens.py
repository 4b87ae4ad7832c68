"""Split SQLite's DDL into tokens; comments, quotes and nested parentheses are understood.

The grammar is that of sqlite.org/lang_createtable.html. A statement comes from sqlite_master, so SQLite has accepted
it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from usage_store.engines.interface.schema_objects import quoted as quoted  # noqa: PLC0414  SQLite's rooms take it from here

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_TOKEN = re.compile(
    r"""(?>[ \t\n\f\r]+|--[^\n]*|/\*.*?(?:\*/|\Z))*  # space and comments, without backtracking
      (?:
        (?P<string>[xX]?'(?:[^']|'')*')
      | (?P<quoted>"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])
      | (?P<word>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)
      | (?P<number>0[xX][0-9a-fA-F_]+|(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9][0-9_]*)?)
      | (?P<symbol>->>|->|\|\||<<|>>|<=|>=|<>|!=|==|.)
      | (?P<end>\Z)
      )""",
    re.VERBOSE | re.DOTALL,
)
_KEYWORDS = ("word", "symbol")
_DEPTHS = {"(": 1, ")": -1}
_TABLE_CONSTRAINTS = {"constraint", "primary", "unique", "check", "foreign"}


class Token(NamedTuple):
    """A piece of SQL: kind, text as written, start, and the keyword or symbol in lower case (or an empty text)."""

    kind: str
    text: str
    start: int
    keyword: str

    @property
    def end(self) -> int:
        """Where the token ends."""
        return self.start + len(self.text)

    def says(self, *keywords: str) -> bool:
        """Return whether this is one of these keywords or symbols, in any case of letters."""
        return self.keyword in keywords


@dataclass(frozen=True, slots=True)
class CreateTable:
    """The parts of a CREATE TABLE statement as runs of tokens, and the statement that they come from."""

    sql: str
    columns: tuple[tuple[Token, ...], ...]
    constraints: tuple[tuple[Token, ...], ...]
    options: tuple[Token, ...]


def tokens(sql: str) -> list[Token]:
    """Split SQL into tokens. White space and comments are left out."""
    found = []
    for match in _TOKEN.finditer(sql):
        kind = match.lastgroup or "end"
        if kind != "end":
            text = match[kind]
            found.append(Token(kind, text, match.end() - len(text), text.lower() if kind in _KEYWORDS else ""))
    return found


def name_of(token: Token) -> str:
    """Return the identifier of a token without its quotes."""
    text = token.text
    if token.kind == "quoted" or (token.kind == "string" and text[0] == "'"):
        quote = text[-1]
        inner = text[1:-1]
        return inner if quote == "]" else inner.replace(quote * 2, quote)
    return text


def fold(name: str) -> str:
    """Put a name into lower case as SQLite does when it compares names: only ASCII letters."""
    return name.lower() if name.isascii() else "".join(c.lower() if c.isascii() else c for c in name)


def normal(parts: Sequence[Token], names: Collection[str] | None = None) -> str:
    """Spell tokens in a normal way: single spaces, lower case, no quotes around identifiers; strings stay as they are.

    `names` are column names in lower case. With `names`, a word in double quotes that is none of them also stays as it
    is, because SQLite takes it for a string.
    """
    if names is None:
        return " ".join(part.text if part.kind == "string" else name_of(part).lower() for part in parts)
    strings = {part.start for part in possible_strings(parts)}
    return " ".join(
        part.text
        if part.kind == "string" or (part.start in strings and name_of(part).lower() not in names)
        else name_of(part).lower()
        for part in parts
    )


def possible_strings(parts: Sequence[Token]) -> list[Token]:
    """List the words in double quotes that SQLite takes for strings if no column has this name."""
    found = []
    for index, part in enumerate(parts):
        if part.text[0] == '"' and not (
            (index and parts[index - 1].says(".", "collate", "as"))
            or (index + 1 < len(parts) and parts[index + 1].says(".", "("))
        ):
            found.append(part)
    return found


def parse_table(sql: str) -> CreateTable:
    """Split a CREATE TABLE statement into its columns, constraints and options."""
    every = tokens(sql)
    opening = next(index for index, token in enumerate(every) if token.says("("))
    closing = closing_of(every, opening)
    columns: list[tuple[Token, ...]] = []
    constraints: list[tuple[Token, ...]] = []
    for part in split(every[opening + 1 : closing]):
        # SQLite needs no comma between two table constraints. So a part that starts with a constraint may hold several.
        (constraints if part[0].says(*_TABLE_CONSTRAINTS) else columns).append(part)
    return CreateTable(sql, tuple(columns), tuple(constraints), tuple(every[closing + 1 :]))


def split(parts: Sequence[Token]) -> list[tuple[Token, ...]]:
    """Split tokens at the commas that are not inside parentheses."""
    groups: list[list[Token]] = [[]]
    depth = 0
    for part in parts:
        depth += _DEPTHS.get(part.keyword, 0)
        if depth == 0 and part.keyword == ",":
            groups.append([])
        else:
            groups[-1].append(part)
    return [tuple(group) for group in groups if group]


def closing_of(parts: Sequence[Token], opening: int) -> int:
    """Return the index of the parenthesis that closes the one at `opening`."""
    depth = 0
    for index in range(opening, len(parts)):
        depth += _DEPTHS.get(parts[index].keyword, 0)
        if depth == 0:
            return index
    raise ValueError("unbalanced parentheses")


def after(parts: Sequence[Token], keyword: str) -> list[tuple[Token, ...]]:
    """List the expressions in parentheses that follow a keyword, without their parentheses."""
    found = []
    index = 0
    while index < len(parts):
        if parts[index].says("("):
            index = closing_of(parts, index)
        elif parts[index].says(keyword) and index + 1 < len(parts) and parts[index + 1].says("("):
            closing = closing_of(parts, index + 1)
            found.append(tuple(parts[index + 2 : closing]))
            index = closing
        index += 1
    return found
