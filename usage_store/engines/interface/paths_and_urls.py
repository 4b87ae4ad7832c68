"""The path or URL of a database: the default one, and how one is shown."""

from __future__ import annotations

import os
import re


def default_target() -> str:
    """Give `$USAGE_STORE_DATABASE`, or `usage.db` in the current folder."""
    return os.environ.get("USAGE_STORE_DATABASE") or "usage.db"


def redact(target: str) -> str:
    """Replace the password in a URL, wherever it stands, by `***`."""
    # Greedy up to the last @, since a password may hold any character that its author forgot to quote.
    target = re.sub(r"(?<=://)([^\s:/@]*):\S*@", r"\1:***@", target)
    return re.sub(
        r"(?i)([?&][^\s=&]*(?:password|passwd|secret|token)[^\s=&]*=)[^\s&']*?(?=[\s&']|:?(?:\s|$))", r"\1***", target
    )
