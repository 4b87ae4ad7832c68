"""`python -m usage_store.migrate`, which is `usage-store migrate`."""

from usage_store.cli import start

if __name__ == "__main__":
    start("python -m usage_store.migrate", ("migrate",))
