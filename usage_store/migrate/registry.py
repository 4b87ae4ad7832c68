"""Find, check and load the files of a migration directory.

A migration is a file `NNN_name.py` that defines `up(migrator, db)`, usually `down(migrator, db)`, and may say
`atomic = False`: the form that `playhouse.migrations` uses. One that defines `migrate` instead is peewee_migrate's.
"""

from __future__ import annotations

import os
import re
import traceback
from importlib.machinery import SourceFileLoader
from types import ModuleType
from typing import TYPE_CHECKING, Literal, NamedTuple

from usage_store.errors import ConfigurationError, DuplicateVersion, Irreversible, LoadError, MalformedMigration

if TYPE_CHECKING:
    from pathlib import Path
    from types import CodeType

__all__ = ["Direction", "Migration", "Step", "discover", "load", "numbered"]

Direction = Literal["up", "down"]

_FILE_NAME = re.compile(r"([0-9]+)_(\w+)\.py")
_MAX_VERSION = 2**63 - 1  # the largest INTEGER that SQLite and PostgreSQL's bigint hold


class Migration(NamedTuple):
    """One version: a file, a history row, or both.

    `file` is None when the file is gone; `applied_at` (seconds, UTC) is None while it is pending.
    """

    version: int
    name: str
    file: str | None = None
    applied_at: int | None = None

    def __str__(self) -> str:
        return os.path.basename(self.file)[:-3] if self.file else f"{self.version:03d}_{self.name}"

    @property
    def path(self) -> Path | None:
        """The file, or None when it is gone."""
        from pathlib import Path  # its import is a tenth of the command line's start

        return None if self.file is None else Path(self.file)

    def read(self) -> bytes:
        """Give the file's content, or raise LoadError if it is gone or cannot be read."""
        if self.file is None:
            raise LoadError(f"{self}.py: the file is gone")
        try:
            with open(self.file, "rb", buffering=0) as file:  # half the time of Path.read_bytes
                return file.read()
        except OSError as error:
            raise LoadError(f"{self}.py: {error.strerror}") from error


class Step(NamedTuple):
    """One migration that was run, in which direction, and how long it took."""

    migration: Migration
    direction: Direction
    seconds: float


def discover(directory: str | os.PathLike[str]) -> tuple[Migration, ...]:
    """List the migrations of a directory, lowest version first, without loading them.

    Names that start with `_` or `.` are left to the application. Raises ConfigurationError if there is no such
    directory or no migration in it, MalformedMigration and DuplicateVersion for files that cannot be ordered.
    """
    found = numbered(directory)
    if not found:
        raise ConfigurationError(f"{directory}: no migrations here; their files are named like 001_add_users.py")
    return found


def numbered(directory: str | os.PathLike[str]) -> tuple[Migration, ...]:
    """List the migrations of a directory, of which there may be none; otherwise as `discover`."""
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        raise ConfigurationError(f"{directory}: no such directory of migrations") from None
    except NotADirectoryError:
        raise ConfigurationError(f"{directory}: not a directory of migrations") from None
    by_version: dict[int, Migration] = {}
    folder = os.fspath(directory)
    for name in names:
        if not name.endswith(".py") or name.startswith(("_", ".")):
            continue
        migration = _parse(folder, name)
        other = by_version.setdefault(migration.version, migration)
        if other is not migration:
            raise DuplicateVersion(f"{other}.py and {name} both have version {migration.version}; renumber one of them")
    return tuple(by_version[version] for version in sorted(by_version))


def _parse(folder: str, name: str) -> Migration:
    match = _FILE_NAME.fullmatch(name)
    if match is None:
        raise MalformedMigration(
            f"{name}: not a migration's name; rename it like 001_add_users.py (letters, digits and _), "
            "or start it with _ if it is not a migration"
        )
    version = int(match[1]) if len(match[1]) < len(str(_MAX_VERSION)) * 2 else _MAX_VERSION + 1
    if not 1 <= version <= _MAX_VERSION:
        raise MalformedMigration(f"{name}: versions are integers from 1 to {_MAX_VERSION}")
    return Migration(version, match[2], f"{folder}{os.sep}{name}")


class _Source(SourceFileLoader):
    """Import one text: what was read is what runs, past sys.path, sys.modules and cached bytecode."""

    def __init__(self, source: bytes, file_name: str) -> None:
        super().__init__("_migration", file_name)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002  importlib's signature
        return self.source_to_code(self._source, self.path)


def load(migration: Migration, direction: Direction, source: bytes | None = None) -> ModuleType:
    """Load a migration's module, from its file or from a source kept of it, and check that it can go that way.

    Raises LoadError (with file and line) for a file that fails to load, MalformedMigration without a callable
    `up` or with an `atomic` that is not a bool, Irreversible when `down` is asked for and missing.
    """
    file_name = file_name_of(migration)
    loader = _Source(migration.read() if source is None else source, file_name)
    module = ModuleType(f"_migration_{migration}")
    module.__file__ = file_name
    try:
        loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise LoadError(_load_message(migration, file_name, error)) from error
    if not hasattr(module, "up") and hasattr(module, "migrate"):
        from usage_store.migrate import foreign

        foreign.adapt(module, migration)
    _check(migration, module, direction)
    return module


def _load_message(migration: Migration, file_name: str, error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename == file_name:
        line, what = error.lineno, error.msg
    else:
        line, what = line_in(error, file_name), f"{type(error).__name__}: {error}"
    if isinstance(error, ModuleNotFoundError) and error.name == "peewee_migrate":
        what += "; pip install peewee-migrate"
    return f"{migration}.py, line {line}: {what}" if line else f"{migration}.py: {what}"


def _check(migration: Migration, module: ModuleType, direction: Direction) -> None:
    if not callable(getattr(module, "up", None)):
        raise MalformedMigration(f"{migration}.py: defines no up(migrator, db)")
    if not isinstance(getattr(module, "atomic", True), bool):
        raise MalformedMigration(f"{migration}.py: atomic is {module.atomic!r}; allowed: True, False")
    for attribute in ("deletes", "drops"):
        names = getattr(module, attribute, ())
        if isinstance(names, str) or not all(isinstance(name, str) for name in names):
            raise MalformedMigration(f"{migration}.py: {attribute} is {names!r}; allowed: a tuple of names")
    if direction == "down" and not callable(getattr(module, "down", None)):
        raise Irreversible(f"{migration}.py: defines no down(migrator, db), so nothing was rolled back; add one")


def file_name_of(migration: Migration) -> str:
    """Give the name that a migration's code has in tracebacks."""
    return migration.file or f"<stored source of {migration}>"


def line_in(error: BaseException, file_name: str) -> int | None:
    """Give the line of a file that an exception passed through last, or None if it never did."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file_name]
    return lines[-1] if lines else None
