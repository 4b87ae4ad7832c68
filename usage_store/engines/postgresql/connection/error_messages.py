"""Turn errors of the server and of its connections into errors of this package with a message of one line."""

from __future__ import annotations

import re
import shlex
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import parse_qs, unquote, urlsplit

from usage_store.engines.interface.paths_and_urls import redact
from usage_store.engines.interface.schema_objects import quoted
from usage_store.engines.postgresql.connection.driver import database_errors
from usage_store.engines.postgresql.connection.names import name_of
from usage_store.errors import (
    CorruptDatabase,
    DatabaseError,
    DatabaseFull,
    DatabaseLocked,
    DatabaseUnreadable,
    ReadOnlyDatabase,
    UsageStoreError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import peewee

NO_WRITES = "the server accepts no writes here: it is a standby, or the session is read-only"
OPENED_TO_READ = "was opened for reading only, so nothing can be written to it"
LOST = "the connection to the server was lost"
AGAIN = "the next call connects again"
_CLOSE = "close() the database, and its next use connects again"
_LOCKED = (
    "another connection holds a lock on a table or row; try again, or wait longer (--wait, or `timeout` and `wait` of "
    "init_database())"
)
_AT_ONCE = "another transaction changed the same rows at the same moment; try again"
_FULL = "the disk of the server is full"
_CROWDED = "the server has too many clients; close some connections, or raise max_connections or the role's limit"
_REFUSED = "the server refused the role or its password"
_NO_DATABASE = "no such database"
_BUSY = "the server is starting, stopping or recovering; try again later"
# SQLSTATEs or their beginnings (postgresql.org/docs/current/errcodes-appendix.html); the first one that fits counts.
_KINDS: dict[str, tuple[type[DatabaseError], str]] = {
    "25006": (ReadOnlyDatabase, NO_WRITES),
    "25P03": (DatabaseUnreadable, LOST),
    "25P04": (DatabaseUnreadable, LOST),
    "08": (DatabaseUnreadable, LOST),
    "28": (DatabaseUnreadable, _REFUSED),
    "3D000": (DatabaseUnreadable, _NO_DATABASE),
    "40001": (DatabaseLocked, _AT_ONCE),
    "40P01": (DatabaseLocked, _AT_ONCE),
    "53100": (DatabaseFull, _FULL),
    "53200": (DatabaseUnreadable, "the server has not enough memory"),
    "53300": (DatabaseUnreadable, _CROWDED),
    "53400": (DatabaseFull, "a limit that the server's settings set is reached"),
    "55P03": (DatabaseLocked, _LOCKED),
    "57014": (DatabaseUnreadable, "the server ended the statement: statement_timeout, or somebody cancelled it"),
    "57P03": (DatabaseUnreadable, _BUSY),
    "57P": (DatabaseUnreadable, LOST),
    "58": (DatabaseUnreadable, "the server could not read or write its files"),
    "XX001": (CorruptDatabase, "the server found damage in its files; restore a backup"),
    "XX002": (CorruptDatabase, "the server found damage in an index; REINDEX makes it anew"),
}
_RIGHT = "42501"
# A failed attempt to connect has no SQLSTATE, because libpq keeps it to itself. So its text is read here, for the hint
# alone: a server that speaks another language gets the same kind of error without one.
_SAID = {
    r"password authentication failed|no password supplied": "28P01",
    r"no pg_hba\.conf entry|role \".*\" does not exist|not permitted to log in": "28000",
    r"database \".*\" does not exist": "3D000",
    r"too many (clients|connections)|connection slots are reserved": "53300",
    r"the database system is": "57P03",
    r"permission denied for database": _RIGHT,
}
_CONNECTING = (
    "connection failed",
    "connection is bad",
    "connection to server",
    "connection timeout",
    "could not translate host name",
    "failed to resolve host",
    "[Errno",
)
# Texts of the drivers themselves, which have no SQLSTATE and no other language.
_CLOSED = ("connection already closed", "the connection is closed", "the connection is lost")
_WRONG_CALLS = ("number of parameters", "another command is already in progress")


def sqlstate(error: BaseException) -> str | None:
    """Return the SQLSTATE of an error of peewee, of a driver or of this package, or None."""
    original = getattr(error, "orig", None) or error
    found: str | None = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
    return found


def told(error: BaseException, what: str) -> str | None:
    """Return what the server tells of an error beside its text, such as `constraint_name`, or None."""
    original = getattr(error, "orig", None) or error
    found: str | None = getattr(getattr(original, "diag", None), what, None)
    return found


@contextmanager
def readable_errors(name: str, *, reading: bool = False) -> Iterator[None]:  # noqa: ARG001  the interface's signature
    """Turn the server's error of a database that cannot be used into a DatabaseError, a line that begins with `name`.

    An error of a statement that is wrong stays as it is.
    """
    try:
        yield
    except database_errors() as error:
        raise_of_a_statement(error, name)


def raise_of_a_statement(error: Exception, name: str, *, readonly: bool = False, then: str = _CLOSE) -> NoReturn:
    """Raise the DatabaseError for what a statement raised, or the error itself if the database is not to blame.

    `readonly` says that the connection was opened for reading only, and `then` what helps after a lost connection.
    """
    known = None if isinstance(error, UsageStoreError) else _translate(error, name, then)
    if known is None:
        raise error
    if readonly and isinstance(known, ReadOnlyDatabase):
        known.args = (f"{name}: {OPENED_TO_READ} ({_line(error)}, sqlstate {sqlstate(error)})",)
    raise known from error


def raise_for(error: Exception, database: peewee.PostgresqlDatabase) -> NoReturn:
    """Raise for what a statement on a database raised, in the words that fit how the database was opened."""
    readonly = getattr(database, "readonly", None)  # only the databases that this package opened know it
    then = _CLOSE if readonly is None else AGAIN
    raise_of_a_statement(error, name_of(database), readonly=bool(readonly), then=then)


def raise_of_connecting(error: Exception, name: str) -> NoReturn:
    """Raise the DatabaseError for what an attempt to connect raised. Its message has no password.

    An error of this package, about what the server told, is raised as it is.
    """
    if isinstance(error, UsageStoreError):
        raise error
    raise _of_connecting(error, name) from error


def is_disk_failure(error: BaseException) -> bool:
    """Return whether an error means that the server's disk is full or fails."""
    return sqlstate(error) in ("53100", "58030")


def is_locked(error: BaseException) -> bool:
    """Return whether an error means that another connection held a lock, or changed the same rows."""
    return sqlstate(error) in ("40001", "40P01", "55P03")


def _translate(error: Exception, name: str, then: str) -> DatabaseError | None:
    state = sqlstate(error) or ""
    if state == _RIGHT:
        return _made(DatabaseUnreadable, name, _without_right(name, _line(error)), error, state)
    known = _meaning(state)
    if not state and _is_of_the_connection(error):
        if _line(error).startswith(_CONNECTING):
            return _of_connecting(error, name)
        known = (DatabaseUnreadable, LOST)
    if known is None:
        return None
    kind, meaning = known
    return _made(kind, name, f"{meaning}; {then}" if meaning == LOST else meaning, error, state)


def _of_connecting(error: Exception, name: str) -> DatabaseError:
    said = next((code for text, code in _SAID.items() if re.search(text, _line(error))), "")
    state = sqlstate(error) or said
    kind, meaning = _meaning(state) or (DatabaseUnreadable, "the server cannot be reached")
    if state == _RIGHT:
        meaning = f"the role{_role(name)} has no right to connect; GRANT CONNECT ON DATABASE gives it"
    elif meaning == _NO_DATABASE:
        database = unquote(urlsplit(name).path[1:])
        meaning += f"; `createdb {shlex.quote(database)}` or CREATE DATABASE creates it"
    return _made(kind, name, meaning, error, state)


def _is_of_the_connection(error: Exception) -> bool:
    """Return whether an error without SQLSTATE is one of the connection."""
    kinds = {each.__name__ for each in type(error).__mro__}
    if "OperationalError" in kinds:
        return not any(text in str(error) for text in _WRONG_CALLS)
    return "InterfaceError" in kinds and str(error).startswith(_CLOSED)


def _meaning(state: str) -> tuple[type[DatabaseError], str] | None:
    return next((known for code, known in _KINDS.items() if state.startswith(code)), None) if state else None


def _without_right(name: str, said: str) -> str:
    """Return what the role lacks. The text of the server is read for the hint alone, as in `_SAID`."""
    place = urlsplit(name)
    role, shown = _role(name), _quoted(_role(name).strip()) or "ROLE"
    if said.startswith("must be owner"):
        return f"the role{role} does not own what the statement changes; use the role that made it, or a member of that"
    if " for database " in said:
        grant = f"GRANT CREATE ON DATABASE {_quoted(unquote(place.path[1:]))} TO {shown}"
        return f"the role{role} has no right CREATE on the database; {grant} gives it"
    schema = parse_qs(place.query).get("schema", ["public"])[0]
    if found := re.fullmatch(r"permission denied for sequence (.+)", said):
        return (
            f"the role{role} lacks a right on the sequence {found[1]} in the schema {schema}; an owner gives it: GRANT "
            f"USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA {_quoted(schema)} TO {shown}"
        )
    if found := re.fullmatch(r"permission denied for schema (.+)", said):
        return (
            f"the role{role} lacks the right CREATE or USAGE in the schema {found[1]}; an owner gives them: GRANT "
            f"USAGE, CREATE ON SCHEMA {_quoted(found[1])} TO {shown}"
        )
    return (
        f"the role{role} lacks a right in the schema {schema}; an owner gives it, such as GRANT USAGE ON SCHEMA "
        f"{_quoted(schema)} TO {shown}, and SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {_quoted(schema)}"
    )


def _quoted(name: str) -> str:
    """Return a name as SQL has it: in double quotes if it needs them."""
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*|", name) else quoted(name)


def _role(name: str) -> str:
    user = urlsplit(name).username
    return f" {unquote(user)}" if user else ""


def _made(kind: type[DatabaseError], name: str, meaning: str, error: Exception, state: str) -> DatabaseError:
    known = kind(f"{name}: {meaning} ({redact(_line(error))}{f', sqlstate {state}' if state else ''})")
    original: Exception = getattr(error, "orig", None) or error
    known.orig = original
    return known


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
