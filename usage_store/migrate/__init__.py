"""Run the migrations of any Peewee application. The command line is `usage-store migrate`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from usage_store.migrate.files.migration import Migration, Step
    from usage_store.migrate.runner import MigrationRunner
    from usage_store.migrate.status import MigrationStatus

__all__ = ["Migration", "MigrationRunner", "MigrationStatus", "Step"]

_HOMES = {
    "Migration": "usage_store.migrate.files.migration",
    "MigrationRunner": "usage_store.migrate.runner",
    "MigrationStatus": "usage_store.migrate.status",
    "Step": "usage_store.migrate.files.migration",
}


def __getattr__(name: str) -> Any:
    # Each name is imported at its first use, so that the command line can handle Ctrl-C during the import.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, getattr(importlib.import_module(_HOMES[name]), name))


def __dir__() -> list[str]:
    return __all__
