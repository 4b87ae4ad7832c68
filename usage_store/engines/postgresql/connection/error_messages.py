"""Turn errors of the server and its connections into one line."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import peewee

from usage_store.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Iterator


def sqlstate(error: BaseException) -> str | None:
    """Return the SQLSTATE of an error of peewee or of a driver, or None."""
    original = getattr(error, "orig", None) or error
    return getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)


@contextmanager
def readable_errors(name: str, *, reading: bool = False) -> Iterator[None]:  # noqa: ARG001  the interface's signature
    """Turn errors of a locked or unreachable database into a one-line error of this package."""
    try:
        yield
    except peewee.OperationalError as error:
        raise_of_a_statement(error, name)


def raise_of_a_statement(error: Exception, name: str) -> NoReturn:
    """Raise the DatabaseError for what a statement raised, or the error itself if the database is not to blame."""
    if isinstance(error, peewee.OperationalError):
        raise DatabaseError(f"{name}: {str(error).splitlines()[0]}") from error
    raise error


def is_disk_failure(error: BaseException) -> bool:
    """Return whether an error means that the disk is full or fails."""
    return sqlstate(error) in ("53100", "58030")


def is_locked(error: BaseException) -> bool:
    """Return whether an error means that another connection holds a lock."""
    return sqlstate(error) == "55P03"
