"""The path or URL of a database: the default one, and how one is shown; the permissions that its file may have."""

from __future__ import annotations

import os
import re

from usage_store.errors import InvalidValue

_OWNERS = 0o600  # without these no engine could use the file
_ALL = 0o777


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


def checked_mode(mode: object) -> int | None:
    """Give the permissions for a new file back, or raise InvalidValue; None stands for the usual ones."""
    if mode is None or (type(mode) is int and 0 <= mode <= _ALL and mode & _OWNERS == _OWNERS):
        return mode
    allowed = "an octal number from 0o600 to 0o777 in which the owner reads and writes, such as 0o600"
    raise InvalidValue("mode", mode, allowed)
