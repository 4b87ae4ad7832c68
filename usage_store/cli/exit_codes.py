"""The exit code and the one line for an error of a command."""

from __future__ import annotations

import traceback
from typing import Any, Final

import peewee

from usage_store.cli.output import shown
from usage_store.engines import driver_errors
from usage_store.engines.interface.paths_and_urls import redact
from usage_store.errors import DatabaseUnreadable, UsageStoreError

INTERRUPTED: Final = 130
UNFORESEEN: Final = 70  # sysexits.h: an internal software error


def one_line(error: BaseException) -> str:
    """Return an error's message as one line. Passwords in it are replaced."""
    message = _of_a_file(error) if isinstance(error, OSError) and error.filename is not None else str(error)
    return shown(redact(message))


def _of_a_file(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}"


def described(error: BaseException) -> dict[str, Any]:
    """Return the type, the message and the exit code of an error."""
    code = _exit_code(error)
    message = one_line(error)
    if code == UNFORESEEN:
        message = f"{type(error).__name__}: {message}{_where(error)}; nobody foresaw it, --verbose shows the traceback"
    return {"error": type(error).__name__, "message": message, "exit_code": code}


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({shown(frames[-1].filename)}, line {frames[-1].lineno})" if frames else ""


def _exit_code(error: BaseException) -> int:
    if isinstance(error, UsageStoreError):
        return error.exit_code
    foreseen = isinstance(error, driver_errors(peewee.PeeweeException, OSError))
    return DatabaseUnreadable.exit_code if foreseen else UNFORESEEN
