"""Write the Python source of a generated migration."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from usage_store.engines.interface.table_changes import Change, Rebuild

_WIDTH = 120


def source_of(changes: Sequence[Change], todo: Sequence[str]) -> str:
    """Return the text of a migration file after its docstring. Each line of `todo` becomes a comment at the top."""
    head = "".join(_comment(line) for line in todo)
    declared = "".join(
        _declaration(name, values)
        for name in ("deletes", "drops")
        if (values := [value for change in changes for value in getattr(change, name)])
    )
    head += ("\n" if head and declared else "") + declared
    up = [step for change in changes for step in change.up]
    down = [step for change in reversed(changes) for step in change.down]
    return (
        ("\n" + head if head else "")
        + "\n\ndef up(migrator, db):\n"
        + '    """Apply the migration. This and its row in the history table are one transaction."""\n'
        + "".join(map(_step, up))
        + '\n\ndef down(migrator, db):\n    """Undo `up`."""\n'
        + "".join(map(_step, down))
    )


def _comment(line: str) -> str:
    return textwrap.fill(line, _WIDTH, initial_indent="# TODO: ", subsequent_indent="#   ") + "\n"


def _declaration(name: str, values: Sequence[str]) -> str:
    listed = [_literal(value) for value in values]
    line = f"{name} = ({', '.join(listed)}{',' if len(listed) == 1 else ''})\n"
    if len(line) <= _WIDTH and "\n" not in line[:-1]:
        return line
    return f"{name} = (\n" + "".join(f"    {value},\n" for value in listed) + ")\n"


def _step(step: str | Rebuild) -> str:
    if isinstance(step, str) and step.endswith(" = NULL"):  # a person writes the value, which may have quotes
        return f'    db.execute_sql("""{step}""")  # TODO\n'
    if isinstance(step, str):
        return f"    db.execute_sql({_literal(step, room=_WIDTH - 20)})\n"
    lines = [f"create = {_literal(step.sql)}"]
    columns = drop = ""
    if step.columns:
        lines += ["columns = {", *(_entry(name, sql) for name, sql in step.columns.items()), "}"]
        columns = ", columns"
    if step.drop:
        lines.append(_declaration("drop", step.drop).rstrip())
        drop = ", drop=drop"
    lines.append(f"migrator.migrate(migrator.rebuild_table({_literal(step.table)}, create{columns}{drop}))")
    return "".join(f"    {line}\n" for line in lines)


def _entry(name: str, sql: str) -> str:
    return f"    {_literal(name)}: {_literal(sql)}," + ("  # TODO" if sql == "NULL" else "")


def _literal(text: str, *, room: int = _WIDTH - 30) -> str:
    """Return a Python literal for a string: on one line if it fits, else on several lines."""
    if len(text) <= room and "\n" not in text and not ("'" in text and '"' in text):
        return repr(text) if '"' in text else f'"{repr(text)[1:-1]}"'
    # Escaped, because Python reads a carriage return as a line feed, and a quote at the end as a closing quote.
    body = text.removesuffix('"')
    escaped = body.replace("\\", "\\\\").replace('"""', r"\"\"\"").replace("\r", r"\r")
    escaped += r"\"" * (len(text) - len(body))
    return '"""\\\n' + "\n".join(map(_broken, escaped.split("\n"))) + '"""'


def _broken(line: str) -> str:
    # A backslash at the end of a line joins it with the next line, so the value of the string does not change.
    pieces = re.findall(rf".{{1,{_WIDTH - 5}}}(?:\s|$)|\S+\s?|\s", line)
    return "\\\n".join(pieces)
