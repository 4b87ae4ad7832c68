"""Find, check and load the files of a migration directory.

A migration is a file `NNN_name.py` that defines `up(migrator, db)`, usually `down(migrator, db)`, and may say
`atomic = False`: the form that `playhouse.migrations` uses.
"""

from __future__ import annotations

import importlib.util
import os
import re
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from usage_store.errors import ConfigurationError, DuplicateVersion, Irreversible, LoadError, MalformedMigration

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

__all__ = ["Direction", "Migration", "Step", "create", "default_directory", "discover", "load"]

Direction = Literal["up", "down"]

_FILE_NAME = re.compile(r"([0-9]+)_(\w+)\.py")
_MAX_VERSION = 2**63 - 1  # the largest INTEGER that SQLite and PostgreSQL's bigint hold

_TEMPLATE = '''\
"""{title}."""


def up(migrator, db):
    """Apply; runs in one transaction together with its history row."""
    raise NotImplementedError("write {file} first")


def down(migrator, db):
    """Undo `up`; delete this function if that is impossible."""
    raise NotImplementedError("write {file} first")
'''


@dataclass(frozen=True, slots=True)
class Migration:
    """One version: a file, a history row, or both.

    `path` is None when the file is gone; `applied_at` (seconds, UTC) is None while it is pending.
    """

    version: int
    name: str
    path: Path | None = None
    applied_at: int | None = None

    def __str__(self) -> str:
        return self.path.stem if self.path else f"{self.version:03d}_{self.name}"


@dataclass(frozen=True, slots=True)
class Step:
    """One migration that was run, in which direction, and how long it took."""

    migration: Migration
    direction: Direction
    seconds: float


def default_directory() -> Path:
    """Find the migrations of the usage tables: installed, in an editable install, or in a checkout."""
    spec = importlib.util.find_spec("usage_store.migrations")
    if spec is not None and spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(__file__).resolve().parents[2] / "migrations"


def discover(directory: Path) -> tuple[Migration, ...]:
    """List the migrations of a directory, lowest version first, without loading them.

    Names that start with `_` or `.` are left to the application. Raises ConfigurationError if there is no such
    directory or no migration in it, MalformedMigration and DuplicateVersion for files that cannot be ordered.
    """
    found = _numbered(directory)
    if not found:
        raise ConfigurationError(f"{directory}: no migrations here; their files are named like 001_add_users.py")
    return found


def _numbered(directory: Path) -> tuple[Migration, ...]:
    try:
        names = sorted(os.listdir(directory))  # noqa: PTH208  a Path per file costs more than the rest of a start
    except FileNotFoundError:
        raise ConfigurationError(f"{directory}: no such directory of migrations") from None
    except NotADirectoryError:
        raise ConfigurationError(f"{directory}: not a directory of migrations") from None
    by_version: dict[int, Migration] = {}
    for name in names:
        if not name.endswith(".py") or name.startswith(("_", ".")):
            continue
        migration = _parse(directory, name)
        other = by_version.setdefault(migration.version, migration)
        if other is not migration:
            raise DuplicateVersion(f"{other}.py and {name} both have version {migration.version}; renumber one of them")
    return tuple(by_version[version] for version in sorted(by_version))


def _parse(directory: Path, name: str) -> Migration:
    match = _FILE_NAME.fullmatch(name)
    if match is None:
        raise MalformedMigration(
            f"{name}: not a migration's name; rename it like 001_add_users.py (letters, digits and _), "
            "or start it with _ if it is not a migration"
        )
    version = int(match[1]) if len(match[1]) < len(str(_MAX_VERSION)) * 2 else _MAX_VERSION + 1
    if not 1 <= version <= _MAX_VERSION:
        raise MalformedMigration(f"{name}: versions are integers from 1 to {_MAX_VERSION}")
    return Migration(version, match[2], directory / name)


def load(migration: Migration, direction: Direction) -> ModuleType:
    """Load a migration's module and check that it can go in that direction.

    Raises LoadError (with file and line) for a file that fails to load, MalformedMigration without a callable
    `up` or with an `atomic` that is not a bool, Irreversible when `down` is asked for and missing.
    """
    path = migration.path
    if path is None:
        raise LoadError(f"{migration}: its file is gone")
    # The exact path, past sys.path and sys.modules: the same names occur in other applications.
    spec = importlib.util.spec_from_file_location(f"_migration_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise LoadError(f"{path.name}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise LoadError(f"{path.name}, line {error.lineno}: {error.msg}") from error
    except Exception as error:
        line = line_in(error, path)
        raise LoadError(f"{path.name}, line {line}: {type(error).__name__}: {error}") from error
    if not callable(getattr(module, "up", None)):
        raise MalformedMigration(f"{path.name}: defines no up(migrator, db)")
    if not isinstance(getattr(module, "atomic", True), bool):
        raise MalformedMigration(f"{path.name}: atomic is {module.atomic!r}; allowed: True, False")
    if direction == "down" and not callable(getattr(module, "down", None)):
        raise Irreversible(f"{path.name}: defines no down(migrator, db), so nothing was rolled back; add one")
    return module


def line_in(error: BaseException, path: Path) -> int | None:
    """Give the line of a file that an exception passed through last, or None if it never did."""
    name = os.path.abspath(path)  # noqa: PTH100  a frame has its file's name in this form
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == name]
    return lines[-1] if lines else None


def create(directory: Path, title: str) -> Path:
    """Write an empty migration with the next number and return its path; make the directory if need be."""
    slug = "_".join(re.findall(r"\w+", title)).lower()
    if not slug:
        raise ConfigurationError(f"{title!r}: a migration's name needs letters or digits")
    directory.mkdir(parents=True, exist_ok=True)
    existing: Sequence[Migration] = _numbered(directory)
    version = existing[-1].version + 1 if existing else 1
    path = directory / f"{version:03d}_{slug}.py"
    with path.open("x", encoding="utf-8") as file:
        file.write(_TEMPLATE.format(title=title.strip().rstrip("."), file=path.name))
    return path
