"""Refuse to convert the tables of the original monitor, which stored in SQLite only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    import peewee


def refuse_losses(database: peewee.PostgresqlDatabase) -> NoReturn:  # noqa: ARG001  the interface's signature
    """Raise ConfigurationError."""
    raise ConfigurationError(
        "only a SQLite database of the original monitor can be converted; convert its file, then copy the store"
    )


def set_aside(database: peewee.PostgresqlDatabase) -> Any:
    """Raise ConfigurationError."""
    refuse_losses(database)


def bring_back(database: peewee.PostgresqlDatabase, aside: Any) -> tuple[int, int, int]:  # noqa: ARG001  the interface's signature
    """Raise ConfigurationError."""
    refuse_losses(database)


def mend_history(database: peewee.PostgresqlDatabase, table: str, name: str) -> None:  # noqa: ARG001  the interface's signature
    """Raise ConfigurationError."""
    refuse_losses(database)
