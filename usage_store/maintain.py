"""`python -m usage_store.maintain`. Nothing imports this: it would hide the function `usage_store.maintain`."""

import sys

if __name__ == "__main__":
    try:  # the imports, too: they are most of what a short command does
        from usage_store.cli.usage_commands import maintain_main

        code = maintain_main()
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)
