"""The command line: read it, and call the function that does the command."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from usage_store.cli.grammar.parse import parse
from usage_store.cli.run_command import run

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from usage_store.cli.run_command import Outcome

# The module of a command, in which a function has its name. It is loaded for that command only: those for copies
# alone would take a tenth of the time of `check`.
_MODULES = {
    **dict.fromkeys(("backup", "restore", "rehearse"), "usage_store.cli.backup_commands"),
    **dict.fromkeys(("maintain", "convert"), "usage_store.cli.usage_commands"),
    "create": "usage_store.cli.create_command",
}


def main(argv: Sequence[str] | None = None, *, prog: str = "usage-store", door: tuple[str, ...] = ()) -> int:
    """Run one command and give its exit code; an error is one line on stderr.

    `argv` are the words after the program's name, by default those of this process. `prog` is how the person called
    the program. `door` are the words of the command that this call stands for, as in `python -m usage_store.migrate`.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    return run(lambda: parse(words, prog=prog, door=door), _command, json="--json" in words)


def _command(arguments: argparse.Namespace) -> Outcome:
    name = arguments.words[-1]
    module = import_module(_MODULES.get(name, "usage_store.cli.migrate_commands"))
    command: Callable[[argparse.Namespace], Outcome] = getattr(module, name)
    return command(arguments)
