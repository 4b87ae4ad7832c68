"""The tables of the original monitor, which stores in SQLite only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    import peewee


def refuse_losses(database: peewee.PostgresqlDatabase) -> None:  # noqa: ARG001
    """Raise ConfigurationError."""
    _refuse()


def set_aside(database: peewee.PostgresqlDatabase) -> Any:  # noqa: ARG001
    """Raise ConfigurationError."""
    _refuse()


def bring_back(database: peewee.PostgresqlDatabase, aside: Any) -> tuple[int, int, int]:  # noqa: ARG001
    """Raise ConfigurationError."""
    _refuse()


def mend_history(database: peewee.PostgresqlDatabase, table: str, name: str) -> None:  # noqa: ARG001
    """Raise ConfigurationError."""
    _refuse()


def _refuse() -> NoReturn:
    raise ConfigurationError("the original monitor stores in SQLite; convert its file, and then copy it to PostgreSQL")
