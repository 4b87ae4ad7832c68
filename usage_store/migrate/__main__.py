"""`python -m usage_store.migrate`, which is `usage-store migrate`."""

import sys

from usage_store.cli import start

if __name__ == "__main__":
    sys.exit(start("python -m usage_store.migrate", ("migrate",)))
