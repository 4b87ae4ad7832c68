"""`python -m usage_store`, which is `usage-store`."""

from usage_store.cli import start

if __name__ == "__main__":
    start("python -m usage_store")
