"""Find, check and load the files of a migration directory.

A migration is a file `NNN_name.py` that defines `up(migrator, db)`, usually `down(migrator, db)`, and may say
`atomic = False`: the form that `playhouse.migrations` uses. One that defines `migrate` instead is peewee_migrate's.
"""

from __future__ import annotations

import os
import re

from usage_store.errors import ConfigurationError, DuplicateVersion, MalformedMigration
from usage_store.migrate.files.migration import Migration

_FILE_NAME = re.compile(r"([0-9]+)_(\w+)\.py")
_MAX_VERSION = 2**63 - 1  # the largest INTEGER that SQLite and PostgreSQL's bigint hold


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
