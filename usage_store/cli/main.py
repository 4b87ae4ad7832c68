"""The command line: parse, call, print, exit."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from importlib import import_module
from typing import TYPE_CHECKING

from usage_store.cli.exit_codes import INTERRUPTED, described, expected
from usage_store.cli.options import parse
from usage_store.cli.output import complain, with_output

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from usage_store.cli.open_for_command import Outcome

# The module of a command, in which a function has its name: loaded for that command, as copies take a tenth of `check`.
_MODULES = {
    **dict.fromkeys(("backup", "restore", "rehearse"), "usage_store.cli.backup_commands"),
    "create": "usage_store.cli.create_command",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code; what went wrong is one line on stderr."""
    return with_output(lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    arguments = parse(sys.argv[1:] if argv is None else argv)
    if arguments.verbose:
        _log_everything()
    try:
        outcome = _command(arguments.command or "migrate")(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    except expected() as error:
        return _fail(error, arguments)
    if arguments.json:
        print(json.dumps(outcome.data, indent=2, default=str))
    else:
        print("\n".join(outcome.lines), end="\n" if outcome.lines else "")
    return outcome.code


def _command(name: str) -> Callable[[argparse.Namespace], Outcome]:
    command: Callable[[argparse.Namespace], Outcome] = getattr(
        import_module(_MODULES.get(name, "usage_store.cli.migrate_commands")), name
    )
    return command


def _fail(error: Exception, arguments: argparse.Namespace) -> int:
    described_error = described(error)
    if arguments.verbose:
        traceback.print_exception(error)
    if arguments.json:
        applied = [str(step.migration) for step in getattr(error, "applied", ())]
        print(json.dumps({**described_error, "applied": applied}))
    complain(f"error: {described_error['message']}")
    diff = getattr(error, "diff", "")
    if diff:
        complain(diff)
    return int(described_error["exit_code"])


def _log_everything() -> None:
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    logging.getLogger("peewee").setLevel(logging.DEBUG)
