"""The root of all errors of this package, and the errors of a wrong call."""

from __future__ import annotations

import copyreg
from typing import Any, ClassVar


class UsageStoreError(Exception):
    """Anything that usage_store raises on purpose."""

    exit_code: ClassVar[int] = 2

    def __reduce__(self) -> tuple[Any, ...]:
        """Let the error be copied and pickled, whatever arguments its class takes."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]  # as pickle does


class ConfigurationError(UsageStoreError):
    """A path, URL, option, object or engine cannot be used as it is."""


class CannotFill(ConfigurationError):
    """No row can be made up for a table that the database accepts; nothing was written.

    `column` is None if no value of a column would help.
    """

    def __init__(self, table: str, column: str | None, reason: str) -> None:
        self.table = table
        self.column = column
        self.reason = reason
        where, way_on = table, ""
        if column is not None:
            where = f"{table}.{column}"
            way_on = f'; give values yourself: fill(database, values={{"{where}": [...]}})'
        super().__init__(f"{where}: no row can be made up: {reason}{way_on}")
