"""`python -m usage_store.maintain`. Nothing imports this: it would hide the function `usage_store.maintain`."""

import sys

from usage_store.cli.usage_commands import maintain_main

if __name__ == "__main__":
    sys.exit(maintain_main())
