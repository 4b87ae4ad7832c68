"""Read the command line, and call the function of the command."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from importlib import import_module
from typing import TYPE_CHECKING

from usage_store.cli.grammar.parse import parse
from usage_store.cli.output import complain
from usage_store.cli.run_command import run
from usage_store.engines.interface.paths_and_urls import PROJECT_FILE, nearest_file

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from usage_store.cli.run_command import Outcome

# The module of each command. The function of a command has the command's name. A module is imported only for its own
# commands: the imports for copies alone would make `check` a tenth slower.
_MODULES = {
    **dict.fromkeys(("backup", "restore", "rehearse"), "usage_store.cli.backup_commands"),
    **dict.fromkeys(("maintain", "copy", "convert"), "usage_store.cli.usage_commands"),
    "create": "usage_store.cli.create_command",
}


def main(argv: Sequence[str] | None = None, *, prog: str = "usage-store", door: tuple[str, ...] = ()) -> int:
    """Run one command and return its exit code. An error is printed as one line on stderr.

    `argv` are the words after the program's name, by default those of this process. `prog` is the name by which the
    program was called. `door` are the words of a command that is implied: `("migrate",)` for `python -m
    usage_store.migrate`.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    return run(lambda: parse(words, prog=prog, door=door), _command, json="--json" in words)


def _command(arguments: argparse.Namespace) -> Outcome:
    name = arguments.words[-1]
    module = import_module(_MODULES.get(name, "usage_store.cli.migrate_commands"))
    command: Callable[[argparse.Namespace], Outcome] = getattr(module, name)
    with _settled(arguments):
        return command(arguments)


def _settled(arguments: argparse.Namespace) -> AbstractContextManager[None]:
    if arguments.models is None and nearest_file(PROJECT_FILE) is None:
        return nullcontext()
    from usage_store.cli.project.settings_of_a_command import settled  # noqa: PLC0415  not for every start of `check`

    return settled(arguments, complain)
