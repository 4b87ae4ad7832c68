"""`python -m usage_store.maintain`, which is `usage-store maintain`.

Nothing imports this: it would hide the function `usage_store.maintain`.
"""

from usage_store.cli import start

if __name__ == "__main__":
    start("python -m usage_store.maintain", ("maintain",))
