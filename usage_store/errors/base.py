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
