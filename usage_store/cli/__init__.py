"""The command line `usage-store`."""

import sys
from typing import NoReturn


def start(prog: str = "usage-store", door: tuple[str, ...] = ()) -> NoReturn:
    """Run the command that this process was started with, and end the process with its exit code.

    `prog` and `door` are those of `usage_store.cli.main.main()`.
    """
    try:  # the imports, too: they are most of what a short command does
        from usage_store.cli.main import main  # noqa: PLC0415  see above

        code = main(prog=prog, door=door)
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)  # `python -m zipapp --main usage_store.cli:start` would ignore a returned code
