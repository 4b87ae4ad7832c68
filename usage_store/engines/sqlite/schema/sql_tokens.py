"""Read SQLite's DDL token by token: comments, quotes and nested parentheses included.

The grammar is that of sqlite.org/lang_createtable.html; a statement comes from sqlite_master, so it is known to parse.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_TOKEN = re.compile(
    r"""(?>[ \t\n\f\r]+|--[^\n]*|/\*.*?(?:\*/|\Z))*  # space and comments, never given back
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
    """A piece of SQL: its kind, its text as written, where it starts, and the keyword or symbol that it may be."""

    kind: str
    text: str
    start: int
    keyword: str

    @property
    def end(self) -> int:
        """Where the next token may start."""
        return self.start + len(self.text)

    def says(self, *keywords: str) -> bool:
        """Tell whether this is one of these keywords or symbols, in any case."""
        return self.keyword in keywords


@dataclass(frozen=True, slots=True)
class CreateTable:
    """The parts of a CREATE TABLE statement, each a run of tokens, and the statement they point into."""

    sql: str
    columns: tuple[tuple[Token, ...], ...]
    constraints: tuple[tuple[Token, ...], ...]
    options: tuple[Token, ...]


def tokens(sql: str) -> list[Token]:
    """Split SQL into tokens, without white space and comments."""
    found = []
    for match in _TOKEN.finditer(sql):
        kind = match.lastgroup or "end"
        if kind != "end":
            text = match[kind]
            found.append(Token(kind, text, match.end() - len(text), text.lower() if kind in _KEYWORDS else ""))
    return found


def name_of(token: Token) -> str:
    """Give the identifier that a token spells, without its quotes."""
    text = token.text
    if token.kind == "quoted" or (token.kind == "string" and text[0] == "'"):
        quote = text[-1]
        inner = text[1:-1]
        return inner if quote == "]" else inner.replace(quote * 2, quote)
    return text


def fold(name: str) -> str:
    """Fold a name as SQLite does to compare it: ASCII letters only."""
    return name.lower() if name.isascii() else "".join(c.lower() if c.isascii() else c for c in name)


def quoted(name: str) -> str:
    """Write an identifier between double quotes."""
    return '"' + name.replace('"', '""') + '"'


def normal(parts: Sequence[Token], names: Collection[str] | None = None) -> str:
    """Spell tokens in one way: single spaces, lower case, no identifier quotes; strings stay as they are.

    With `names`, in lower case, a word in double quotes that is none of them stays as it is, too: SQLite takes it for a
    string.
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
    """List the words in double quotes that SQLite takes for strings where they are no column's name."""
    found = []
    for index, part in enumerate(parts):
        if part.text[0] == '"' and not (
            (index and parts[index - 1].says(".", "collate", "as"))
            or (index + 1 < len(parts) and parts[index + 1].says(".", "("))
        ):
            found.append(part)
    return found


def parse_table(sql: str) -> CreateTable:
    """Take a CREATE TABLE statement apart at the top-level commas of its body."""
    every = tokens(sql)
    opening = next(index for index, token in enumerate(every) if token.says("("))
    closing = closing_of(every, opening)
    columns: list[tuple[Token, ...]] = []
    constraints: list[tuple[Token, ...]] = []
    for part in split(every[opening + 1 : closing]):
        # A table constraint needs no comma before it, but each starts a part unless it follows another one.
        (constraints if part[0].says(*_TABLE_CONSTRAINTS) else columns).append(part)
    return CreateTable(sql, tuple(columns), tuple(constraints), tuple(every[closing + 1 :]))


def split(parts: Sequence[Token]) -> list[tuple[Token, ...]]:
    """Split tokens at their top-level commas."""
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
    """Give the index of the parenthesis that closes the one at `opening`."""
    depth = 0
    for index in range(opening, len(parts)):
        depth += _DEPTHS.get(parts[index].keyword, 0)
        if depth == 0:
            return index
    raise ValueError("unbalanced parentheses")


def after(parts: Sequence[Token], keyword: str) -> list[tuple[Token, ...]]:
    """List the parenthesised expressions that follow a keyword at the top level, without their parentheses."""
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
