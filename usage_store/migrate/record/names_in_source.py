"""Find the names of tables, views, indexes and triggers in the source of a migration, without running it."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_NAME = r"""("(?:[^"]|"")+"|\[[^\]]+\]|`[^`]+`|'[^']+'|\w+)"""
_CREATE = re.compile(
    rf"\bCREATE\s+(?:UNIQUE\s+|VIRTUAL\s+)?(TABLE|VIEW|INDEX|TRIGGER)\s+(?:IF\s+NOT\s+EXISTS\s+)?(?:main\.)?{_NAME}(?=[\s(])"
    rf"(?:[^;]*?\bON\s+{_NAME}(?=[\s(]|$))?",
    re.IGNORECASE,
)
_GOES = re.compile(r"\b(?:DROP|RENAME)\b", re.IGNORECASE)
_PUT_TOGETHER = re.compile(r"\0|%[sr(]|\{|\s$")
_UNDOING = ("down", "rollback")
_ANYTHING = "*"  # an unknown name is dropped: by a call such as drop_tables([Model]), or by SQL with an inserted name
_MAYBE = (ast.If, ast.IfExp, ast.Try, ast.Match)


def squeezed(text: str) -> str:
    """Return a text or a name in lower case and without `_`, so that a table and its model class look the same."""
    return text.lower().replace("_", "")


def made_in(sources: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Return kind and name of each object that the sources surely create by plain SQL and do not drop or rename.

    An object is not found if it is created under a condition, by a function call, or by SQL that is put together.
    """
    texts: list[str] = []
    gone: set[str] = set()
    for source in sources:
        try:
            _read(ast.parse(source), texts, gone)
        except (SyntaxError, ValueError, RecursionError):
            continue
    for text in filter(_GOES.search, texts):
        gone.update(word.lower() for word in re.findall(r"\w+", text))
        if _PUT_TOGETHER.search(text):
            gone.add(_ANYTHING)
    for text in texts if _ANYTHING not in gone else ():
        for kind, name, table in _CREATE.findall(text):
            if not {_plain(name), _plain(table)} & gone:
                yield kind.lower(), _plain(name)


def _plain(name: str) -> str:
    return name.strip("\"'`[]").lower()


def _read(node: ast.AST, texts: list[str], gone: set[str]) -> None:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name in _UNDOING:
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        texts.append(node.value)
    elif isinstance(node, ast.JoinedStr):  # each inserted value becomes a NUL, which no name contains
        texts.append("".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values))
    elif isinstance(node, _MAYBE):
        gone.update(word.lower() for text in _strings(node) for word in re.findall(r"\w+", text))
    else:
        if isinstance(node, ast.Call) and _called(node).startswith(("drop", "rename", "remove")):
            named = {text.lower() for text in _strings(node)}
            gone.update(named or {_ANYTHING} if _called(node).startswith("drop") else named)
        for child in ast.iter_child_nodes(node):
            _read(child, texts, gone)


def _called(call: ast.Call) -> str:
    return str(getattr(call.func, "attr", getattr(call.func, "id", "")))


def _strings(node: ast.AST) -> Iterator[str]:
    return (each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str))
