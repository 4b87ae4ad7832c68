"""`python -m usage_store`, which is `usage-store`."""

import sys

from usage_store.cli import start

if __name__ == "__main__":
    sys.exit(start("python -m usage_store"))
