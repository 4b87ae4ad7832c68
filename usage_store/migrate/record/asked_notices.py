"""Call the `notices(db)` functions of the applied migrations. This runs their Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.migrate.files.load_file import Loader

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from types import ModuleType

    import peewee

    from usage_store.migrate.files.migration import Migration


def asked(database: peewee.Database, applied: Sequence[Migration], replaced: Collection[int] = ()) -> Iterator[str]:
    """Return the notices of the applied migrations that define `notices(db)`. These functions must only read.

    A migration is not asked if its version is in `replaced`, or in `speaks_for` of another migration.
    """
    with Loader() as loader:
        modules = _modules(loader, [row for row in applied if row.version not in replaced])
        spoken_for = {version for module in modules.values() for version in getattr(module, "speaks_for", ())}
        for version, module in modules.items():
            if version not in spoken_for:
                yield from module.notices(database)


def _modules(loader: Loader, applied: Sequence[Migration]) -> dict[int, ModuleType]:
    # Each file is searched for the function before it is loaded, because few migrations define it.
    return {
        row.version: loader.module(row) for row in applied if row.file is not None and b"def notices(" in row.read()
    }
