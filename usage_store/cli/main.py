"""The command line `python -m usage_store.migrate`: parse, and call what does the command."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from usage_store.cli.options import parse
from usage_store.cli.run_command import run

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from usage_store.cli.run_command import Outcome

# The module of a command, in which a function has its name: loaded for that command, as copies take a tenth of `check`.
_MODULES = {
    **dict.fromkeys(("backup", "restore", "rehearse"), "usage_store.cli.backup_commands"),
    "create": "usage_store.cli.create_command",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code; what went wrong is one line on stderr."""
    return run(lambda: parse(sys.argv[1:] if argv is None else argv), _command)


def _command(arguments: argparse.Namespace) -> Outcome:
    name = arguments.command or "migrate"
    command: Callable[[argparse.Namespace], Outcome] = getattr(
        import_module(_MODULES.get(name, "usage_store.cli.migrate_commands")), name
    )
    return command(arguments)
