"""List the migration files of a directory. No file is loaded.

A migration is a file `NNN_name.py` that defines `up(migrator, db)` and usually `down(migrator, db)`. It may contain
`atomic = False`. This is the format of `playhouse.migrations`. A file that defines `migrate` instead is in the format
of peewee_migrate. A variant such as `NNN_name.postgresql.py` replaces the file `NNN_name.py` on one database engine.
"""

from __future__ import annotations

import os
import re
import sys

from usage_store.engines import NAMES
from usage_store.errors import ConfigurationError, DuplicateVersion, MalformedMigration
from usage_store.migrate.files.migration import Migration

_FILE_NAME = re.compile(r"([0-9]+)_(\w+)(?:\.([a-z][a-z0-9]*))?\.py")
_MAX_VERSION = 2**63 - 1  # the largest INTEGER that SQLite and PostgreSQL's bigint hold
_MANY_DIGITS = 2 * len(str(_MAX_VERSION))


def discover(directory: str | os.PathLike[str], engine: str) -> tuple[Migration, ...]:
    """List the migrations of a directory for an engine, lowest version first, without loading them.

    A variant for the engine replaces the plain file. Variants for other engines are ignored. Files whose names start
    with `_` or `.` are ignored too; the application may use them. Raises ConfigurationError if the directory does not
    exist or has no migration, DuplicateVersion for two files with one version, and MalformedMigration for a wrong name
    and for a variant without a plain file.
    """
    found = numbered(directory, engine)
    if not found:
        raise ConfigurationError(f"{directory}: no migrations here; name their files like 001_add_users.py")
    return found


def numbered(directory: str | os.PathLike[str], engine: str) -> tuple[Migration, ...]:
    """List the migrations of a directory as `discover` does, but return an empty tuple if there are none.

    With an empty `engine`, no variant is used.
    """
    names = names_in(directory)
    by_version: dict[int, Migration] = {}
    variants: list[tuple[Migration, str]] = []
    folder = os.fspath(directory)
    for name in names:
        if not name.endswith(".py") or name.startswith(("_", ".")):
            continue
        migration, variant_for = _parse(folder, name)
        if variant_for:
            variants.append((migration, variant_for))
            continue
        other = by_version.setdefault(migration.version, migration)
        if other is not migration:
            raise DuplicateVersion(f"{other}.py and {name} both have version {migration.version}; renumber one of them")
    _take_variants(by_version, variants, engine)
    return tuple(by_version[version] for version in sorted(by_version))


def names_in(directory: str | os.PathLike[str]) -> list[str]:
    """List the names in a directory, also in one of a zip archive, in order. Reads only.

    Raises ConfigurationError if the directory does not exist.
    """
    try:
        return sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        from usage_store.migrate.files import in_a_zip  # noqa: PLC0415  few programs run from an archive

        found = in_a_zip.names(os.fspath(directory))
        if found is not None:
            return found
        raise ConfigurationError(_not_there(directory)) from None


def _not_there(directory: str | os.PathLike[str]) -> str:
    if os.path.exists(directory):
        return f"{directory}: not a directory of migrations"
    hint = "; the program was frozen without it: name it with PyInstaller's option --add-data"
    return f"{directory}: no such directory of migrations{hint if getattr(sys, 'frozen', False) else ''}"


def _take_variants(by_version: dict[int, Migration], variants: list[tuple[Migration, str]], engine: str) -> None:
    allowed = sorted({*NAMES, engine} - {""})
    for variant, name in variants:
        if name not in allowed:
            raise MalformedMigration(
                f"{variant.file_name}: no database engine is called {name} (allowed: {', '.join(allowed)}); name a "
                "migration for all engines like 001_add_users.py"
            )
        if str(variant) != str(by_version.get(variant.version)):
            raise MalformedMigration(
                f"{variant.file_name}: a variant of {variant}.py for the engine {name}, but {variant}.py does not "
                "exist; write that file too, for all other engines, or rename this file like 001_add_users.py"
            )
        if name == engine:
            by_version[variant.version] = variant


def _parse(folder: str, name: str) -> tuple[Migration, str | None]:
    match = _FILE_NAME.fullmatch(name)
    if match is None:
        raise MalformedMigration(
            f"{name}: not the name of a migration; rename it like 001_add_users.py (letters, digits and _), "
            "or, if it is not a migration, let its name start with _"
        )
    digits, title, engine = match.groups()
    version = int(digits) if len(digits) < _MANY_DIGITS else _MAX_VERSION + 1
    if not 1 <= version <= _MAX_VERSION:
        raise MalformedMigration(f"{name}: versions are integers from 1 to {_MAX_VERSION}")
    return Migration(version, title, f"{folder}{os.sep}{name}"), engine
