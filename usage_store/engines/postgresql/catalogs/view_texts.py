"""Write the text of a view of an older server as newer servers write it.

Before version 16, a server writes `SELECT items.id FROM items`, and later ones write `SELECT id FROM items`. Only the
outermost query differs, and only if it reads one table.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\w+|\s+|.""", re.DOTALL)
_QUERY = ("SELECT", "WITH", "VALUES")
_ENDS_FROM = ("WHERE", "GROUP", "HAVING", "WINDOW", "ORDER", "LIMIT", "OFFSET", "FETCH", "FOR")
_SEVERAL = (",", "JOIN", "UNION", "INTERSECT", "EXCEPT")


class _Token(NamedTuple):
    text: str
    query: int  # 0 in the outermost query, more in queries inside it
    nested: int  # 0 outside all parentheses

    @property
    def is_name(self) -> bool:
        return self.text[0] == '"' or self.text[0] == "_" or self.text[0].isalpha()


def without_prefixes(sql: str) -> str:
    """Return `CREATE VIEW ... AS` and its query without the name of the table before each column.

    If the query reads several tables, the text stays as it is.
    """
    head, as_, query = sql.partition(" AS\n")
    tokens = list(_tokens(query))
    alias = _only_table(tokens)
    if alias is None:
        return sql
    kept: list[str] = []
    place = 0
    while place < len(tokens):
        if _is_prefix(tokens, place, alias):
            place += 2
        kept.append(tokens[place].text)
        place += 1
    return head + as_ + "".join(kept)


def _tokens(sql: str) -> Iterator[_Token]:
    inside: list[bool] = []  # for each open parenthesis, whether it holds a query
    parts = _TOKEN.findall(sql)
    for place, text in enumerate(parts):
        if text == ")" and inside:
            inside.pop()
        yield _Token(text, sum(inside), len(inside))
        if text == "(":
            words = (part for part in parts[place + 1 :] if not part.isspace() and part != "(")
            inside.append(next(words, "") in _QUERY)


def _only_table(tokens: Sequence[_Token]) -> str | None:
    """Return the name under which the outermost query reads its only table, or None."""
    outside = [token for token in tokens if token.nested == 0 and not token.text.isspace()]
    words = [token.text for token in outside]
    if "FROM" not in words or any(word in words for word in _SEVERAL[2:]):
        return None
    item = outside[words.index("FROM") + 1 :]
    end = next((place for place, token in enumerate(item) if token.text in _ENDS_FROM), len(item))
    item = item[:end]
    if any(token.text in _SEVERAL for token in item):
        return None
    names = [token.text for token in item if token.is_name]
    return names[-1] if names else None


def _is_prefix(tokens: Sequence[_Token], place: int, alias: str) -> bool:
    """Return whether `alias.` begins here, before a column, in the outermost query."""
    if tokens[place].query or [token.text for token in tokens[place : place + 2]] != [alias, "."]:
        return False
    return tokens[place + 2].is_name and (not place or tokens[place - 1].text not in (".", ":"))
