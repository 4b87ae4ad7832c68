"""`python -m usage_store.convert`."""

import sys

if __name__ == "__main__":
    try:  # the imports, too: they are most of what a short command does
        from usage_store.cli.usage_commands import convert_main

        code = convert_main()
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)
