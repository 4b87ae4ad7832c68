"""Turn the server's refusals of a change into errors of one line."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import peewee

from usage_store.engines.postgresql.connection.error_messages import sqlstate, told
from usage_store.engines.postgresql.connection.write_transaction import write_transaction
from usage_store.errors import ChangeRefused, ImpossibleChange, RowsDoNotFit

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROWS = ("22", "23")  # classes of sqlstates: values that do not fit a type, and broken rules
_DEFINITIONS = ("0A", "2B", "42")  # not supported, in use, and wrong names and definitions
_NO_RIGHT = "42501"


@contextmanager
def refusals(database: peewee.PostgresqlDatabase, table: str) -> Iterator[None]:
    """Run the block in a transaction or a savepoint, so that a refused change changes nothing.

    Raises RowsDoNotFit or ImpossibleChange for what the server refuses. Other errors, such as a lock that was not had,
    stay as they are.
    """
    try:
        with write_transaction(database):
            yield
    except peewee.DatabaseError as error:
        raise _refusal(error, table) from error


def _refusal(error: peewee.DatabaseError, table: str) -> Exception:
    state = sqlstate(error) or ""
    if isinstance(error, ChangeRefused) or state == _NO_RIGHT or not state.startswith((*_ROWS, *_DEFINITIONS)):
        return error
    original = getattr(error, "orig", error)
    lines = [told(error, "message_primary") or str(error).partition("\n")[0]]
    lines += (told(error, "message_detail") or "").splitlines()
    kind = RowsDoNotFit if state.startswith(_ROWS) else ImpossibleChange
    refused = kind(f"{table}: {'; '.join(lines)}")
    refused.orig = original
    return refused
