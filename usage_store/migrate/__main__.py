"""`python -m usage_store.migrate`."""

import sys

from usage_store.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
