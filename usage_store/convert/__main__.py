"""`python -m usage_store.convert`."""

import sys

from usage_store.cli.usage_commands import convert_main

if __name__ == "__main__":
    sys.exit(convert_main())
