"""`python -m usage_store.convert`, which is `usage-store convert`."""

import sys

from usage_store.cli import start

if __name__ == "__main__":
    sys.exit(start("python -m usage_store.convert", ("convert",)))
