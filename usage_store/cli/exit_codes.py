"""How the command lines end when something went wrong: an exit code and one line."""

from __future__ import annotations

from typing import Any, Final

import peewee

from usage_store.engines import driver_errors
from usage_store.engines.interface.paths_and_urls import redact
from usage_store.errors import DatabaseUnreadable, UsageStoreError

INTERRUPTED: Final = 130


def expected() -> tuple[type[Exception], ...]:
    """Give the errors that are told in one line, those of every driver loaded by now among them."""
    return driver_errors(UsageStoreError, peewee.PeeweeException, OSError)


def one_line(error: Exception) -> str:
    """Give an error's message in one line, passwords replaced."""
    return redact(" ".join(str(error).split()))


def described(error: Exception) -> dict[str, Any]:
    """Give what a program wants to know of an error: its type, message and exit code."""
    code = error.exit_code if isinstance(error, UsageStoreError) else DatabaseUnreadable.exit_code
    return {"error": type(error).__name__, "message": one_line(error), "exit_code": code}
