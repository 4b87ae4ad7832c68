"""`python -m usage_store.migrate`, which is `usage-store migrate`."""

import sys

if __name__ == "__main__":
    try:  # the imports, too: they are most of what a short command does
        from usage_store.cli.main import main

        code = main(prog="python -m usage_store.migrate", door=("migrate",))
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)
