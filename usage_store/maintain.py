"""`python -m usage_store.maintain`, which is `usage-store maintain`.

Nothing imports this: it would hide the function `usage_store.maintain`.
"""

import sys

if __name__ == "__main__":
    try:  # the imports, too: they are most of what a short command does
        from usage_store.cli.main import main

        code = main(prog="python -m usage_store.maintain", door=("maintain",))
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)
