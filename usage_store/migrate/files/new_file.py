"""Write a migration file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from usage_store.errors import ConfigurationError
from usage_store.migrate.files import find_files

if TYPE_CHECKING:
    import os

_EMPTY = '''

def up(migrator, db):
    """Apply; runs in one transaction together with its history row."""
    raise NotImplementedError("write {file} first")


def down(migrator, db):
    """Undo `up`; delete this function if that is impossible."""
    raise NotImplementedError("write {file} first")
'''


def create(directory: str | os.PathLike[str], title: str, source: str | None = None) -> Path:
    """Write a migration with the next number and return its path; make the directory if need be.

    `source` is what follows the docstring's line; without it the migration is empty and refuses to run.
    """
    slug = "_".join(re.findall(r"\w+", title)).lower()
    if not slug:
        raise ConfigurationError(f"{title!r}: a migration's name needs letters or digits")
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    existing = find_files.numbered(folder, "")
    version = existing[-1].version + 1 if existing else 1
    path = folder / f"{version:03d}_{slug}.py"
    line = " ".join(title.split()).rstrip(".").replace("\\", "\\\\").replace('"', '\\"')
    with path.open("x", encoding="utf-8") as file:
        file.write(f'"""{line}."""\n{_EMPTY.format(file=path.name) if source is None else source}')
    return path
