"""Load the file of a migration and check its content."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from typing import TYPE_CHECKING, Any, Self

from usage_store.errors import Irreversible, LoadError, MalformedMigration
from usage_store.migrate.files.migration import file_name_of, line_in
from usage_store.migrate.files.modules_of_a_folder import Modules
from usage_store.migrate.files.peewee_migrate_files import Replays, adapt

if TYPE_CHECKING:
    from types import ModuleType

    from usage_store.migrate.files.migration import Direction, Migration


_DECLARATIONS = ("deletes", "drops", "optional")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A migration that is ready to run: its module, its source, and its declarations.

    `atomic` is True if it runs in a transaction. `deletes` has the tables that may lose rows, and as `table.column` the
    columns that may be dropped with values in them. `drops` has the indexes and triggers that may be dropped together
    with something else. `optional` has the indexes and triggers that may be missing.
    """

    migration: Migration
    module: ModuleType
    source: bytes
    atomic: bool
    deletes: tuple[str, ...]
    drops: tuple[str, ...]
    optional: tuple[str, ...]


class Loader:
    """Load and check the migrations of one run, from their files or from stored sources.

    Run the migrations inside the `with` block of the loader: only there can their modules be imported. A migration can
    import other modules of `directory`, which is by default the folder of the first loaded file.
    """

    def __init__(self, directory: str | None = None) -> None:
        self._modules = Modules(directory)
        self._replays = Replays(self.module)

    def __enter__(self) -> Self:
        self._modules.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._modules.__exit__()

    def load(self, migration: Migration, direction: Direction, source: bytes | None = None) -> Loaded:
        """Load a migration that will run in this direction. Raises as `module()`."""
        source = migration.read() if source is None else source
        module = self.module(migration, direction, source)
        said = vars(module)  # getattr() for a missing name takes ten times as long on a module
        names = (tuple(said.get(declaration, ())) for declaration in _DECLARATIONS)
        return Loaded(migration, module, source, said.get("atomic", True), *names)

    def module(self, migration: Migration, direction: Direction = "up", source: bytes | None = None) -> ModuleType:
        """Load the module of a migration, and check that it can run in this direction.

        Raises LoadError, which names file and line, for a file that fails to load; MalformedMigration if `up` is
        missing or no function, if `up` or `down` is async or a generator, or if a declaration has a wrong type; and
        Irreversible if the direction is "down" and `down` is missing.
        """
        file_name = file_name_of(migration)
        source = migration.read() if source is None else source
        try:
            with self._modules:
                module = self._modules.load(str(migration), file_name, source)
        except (Exception, SystemExit) as error:
            raise LoadError(_load_message(migration, file_name, error)) from error
        if "up" not in vars(module) and "migrate" in vars(module):
            adapt(module, migration, self._replays)
        _check(migration, module, direction)
        return module


def _load_message(migration: Migration, file_name: str, error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename == file_name:
        line, what = error.lineno, error.msg
    else:
        line, what = line_in(error, file_name), f"{type(error).__name__}: {error}"
    if isinstance(error, ModuleNotFoundError) and error.name == "peewee_migrate":
        what += "; install it with `pip install peewee-migrate`"
    return f"{migration.file_name}, line {line}: {what}" if line else f"{migration.file_name}: {what}"


def _check(migration: Migration, module: ModuleType, direction: Direction) -> None:
    said = vars(module)
    if not callable(said.get("up")):
        raise MalformedMigration(f"{migration.file_name}: defines no up(migrator, db)")
    for name in ("up", "down", "migrate", "rollback"):
        kind = _runs_later(said.get(name))
        if kind:
            raise MalformedMigration(
                f"{migration.file_name}: {name} is {kind}, so a call runs nothing; use a plain def without yield"
            )
    if not isinstance(said.get("atomic", True), bool):
        raise MalformedMigration(f"{migration.file_name}: atomic is {module.atomic!r}; allowed: True, False")
    for attribute in _DECLARATIONS:
        names = said.get(attribute, ())
        if not isinstance(names, (tuple, list, set, frozenset)) or not all(isinstance(name, str) for name in names):
            raise MalformedMigration(f"{migration.file_name}: {attribute} is {names!r}; allowed: a tuple of names")
    if direction == "down" and not callable(said.get("down")):
        reason = said.get("irreversible")
        if isinstance(reason, str) and reason:
            raise Irreversible(f"{migration.file_name}: is irreversible, so nothing was rolled back: {reason}")
        raise Irreversible(f"{migration.file_name}: defines no down(migrator, db), so nothing was rolled back; add one")


def _runs_later(function: Any) -> str | None:
    while isinstance(function, partial):
        function = function.func
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    if flags & CO_COROUTINE:
        return "async"
    return "a generator function" if flags & (CO_GENERATOR | CO_ASYNC_GENERATOR) else None
