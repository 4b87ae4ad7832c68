"""Handle the path or URL of a database and the permissions of a new file, and find a file in the folders above."""

from __future__ import annotations

import os
import re

from usage_store.errors import InvalidValue

PROJECT_FILE = "pyproject.toml"
_OWNERS = 0o600  # the owner must be able to read and write
_ALL = 0o777


def default_target() -> str:
    """Return `$USAGE_STORE_DATABASE`; if it is not set or empty, `usage.db` in the current folder."""
    return os.environ.get("USAGE_STORE_DATABASE") or "usage.db"


def names_an_object(target: str, folder: str = "") -> bool:
    """Return whether a target means a Python object, `package.module:name`. Reads only.

    It does if both sides of the colon are Python names and no file has this name. Relative names begin at `folder`, by
    default the current one. A single letter before the colon is a drive of Windows.
    """
    module, colon, name = target.partition(":")
    parts = (*module.split("."), *name.split("."))
    is_name = bool(colon) and len(module) > 1 and all(map(str.isidentifier, parts))
    return is_name and not os.path.lexists(f"{folder}{os.sep}{target}" if folder else target)


def nearest_file(name: str, start: str | os.PathLike[str] = ".") -> str | None:
    """Return the absolute path of the file of this name in a folder, or in the nearest folder above it. Reads only."""
    try:
        folder = os.path.abspath(start)
    except FileNotFoundError:  # the current folder was removed
        return None
    while not os.path.isfile(f"{folder}{os.sep}{name}"):
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above
    return f"{folder}{os.sep}{name}"


def redact(target: str) -> str:
    """Replace each password by `***`: in a URL, and after `password=` or `PGPASSWORD=`."""
    # Match up to the last @, because a password may contain any character that was not quoted.
    target = re.sub(r"(?<=://)([^\s:/@]*):\S*@", r"\1:***@", target)
    target = re.sub(
        r"(?i)([?&][^\s=&]*(?:password|passwd|secret|token)[^\s=&]*=)[^\s&']*?(?=[\s&']|:?(?:\s|$))", r"\1***", target
    )
    # A text of libpq, with or without quotes, or a variable of the environment.
    return re.sub(
        r"(?i)((?<![\w?&])(?:pg|ssl)?password\s*=\s*)(?:'(?:\\.|[^'\\])*'|(?!\*\*\*)[^\s'](?:\\.|\S)*?(?=[\"']?[:;,)]?(?:\s|$)))",
        r"\1***",
        target,
    )


def checked_mode(mode: object) -> int | None:
    """Return the permissions for a new file back, or raise InvalidValue. None means the usual permissions."""
    if mode is None or (type(mode) is int and 0 <= mode <= _ALL and mode & _OWNERS == _OWNERS):
        return mode
    allowed = "an octal number from 0o600 to 0o777 in which the owner reads and writes, such as 0o600"
    raise InvalidValue("mode", mode, allowed)
