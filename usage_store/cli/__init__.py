"""The command line `usage-store`."""


def start(prog: str = "usage-store", door: tuple[str, ...] = ()) -> int:
    """Run the command that this process was started with, and return its exit code.

    `prog` and `door` are those of `usage_store.cli.main.main()`.
    """
    try:  # the imports, too: they are most of what a short command does
        from usage_store.cli.main import main  # noqa: PLC0415  see above

        return main(prog=prog, door=door)
    except KeyboardInterrupt:
        return 130
