"""How the command lines end when something went wrong: an exit code and one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import peewee

from usage_store.engines.interface.paths_and_urls import redact
from usage_store.engines.sqlite.connection.driver import sqlite3
from usage_store.errors import DatabaseUnreadable, UsageStoreError

if TYPE_CHECKING:
    from typing import Final


EXPECTED: Final = (UsageStoreError, peewee.PeeweeException, sqlite3.Error, OSError)
INTERRUPTED: Final = 130


def one_line(error: Exception) -> str:
    """Give an error's message in one line, passwords replaced."""
    return redact(" ".join(str(error).split()))


def described(error: Exception) -> dict[str, Any]:
    """Give what a program wants to know of an error: its type, message and exit code."""
    code = error.exit_code if isinstance(error, UsageStoreError) else DatabaseUnreadable.exit_code
    return {"error": type(error).__name__, "message": one_line(error), "exit_code": code}
