"""`python -m usage_store.convert [DATABASE]`: the command line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from usage_store import convert
from usage_store.cli.exit_codes import EXPECTED, described, one_line
from usage_store.cli.options import Parser
from usage_store.cli.output import complain, with_output
from usage_store.engines import open_database
from usage_store.engines.interface.paths_and_urls import default_target

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Convert one database; give the exit code of `python -m usage_store.migrate`."""
    return with_output(lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    description = (convert.__doc__ or "").partition("\n")[0]
    parser = Parser(prog="python -m usage_store.convert", description=description)
    parser.add_argument("database", nargs="?", help="default: $USAGE_STORE_DATABASE, else usage.db")
    target = parser.parse_args(argv).database or default_target()
    try:
        open_database(target, readonly=True).close()  # raises for a missing file
        database = open_database(target)
        try:
            converted = convert.convert_original(database)
        finally:
            database.close()
    except EXPECTED as error:
        complain(f"error: {one_line(error)}; nothing was changed")
        return int(described(error)["exit_code"])
    if converted is None:
        print("nothing to convert")
    else:
        print(
            f"kept {converted.configurations} configurations and {converted.snapshots} snapshots, "
            f"of {converted.sessions} sessions"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
