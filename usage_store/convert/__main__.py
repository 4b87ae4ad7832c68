"""`python -m usage_store.convert`, which is `usage-store convert`."""

from usage_store.cli import start

if __name__ == "__main__":
    start("python -m usage_store.convert", ("convert",))
