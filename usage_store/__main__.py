"""`usage-store`, and `python -m usage_store`."""

import sys


def main(prog: str = "usage-store") -> int:
    """Run the command that the process was started with, and return its exit code."""
    try:  # the imports, too: they are most of what a short command does
        from usage_store.cli.main import main as run  # noqa: PLC0415  see above

        return run(prog=prog)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main("python -m usage_store"))
