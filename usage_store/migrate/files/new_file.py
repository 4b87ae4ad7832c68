"""Write a migration file."""

from __future__ import annotations

import os
import re
import secrets
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from usage_store.errors import ConfigurationError
from usage_store.migrate.files import find_files

if TYPE_CHECKING:
    from collections.abc import Iterator

try:
    import fcntl
except ImportError:  # pragma: no cover  Windows
    fcntl = None  # type: ignore[assignment]

_WIDTH = 3  # of the first number's digits

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

    `source` is what follows the docstring's line; without it the migration is empty and refuses to run. The number has
    as many digits as the newest one's. The file is there as a whole or not at all, and never in another's place.
    """
    slug = "_".join(re.findall(r"\w+", title)).lower()
    if not slug:
        raise ConfigurationError(f"{title!r}: a migration's name needs letters or digits")
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        path = folder / f"{_next_number(folder)}_{slug}.py"
        line = " ".join(title.split()).rstrip(".").replace("\\", "\\\\").replace('"', '\\"')
        body = _EMPTY.format(file=path.name) if source is None else source
        _write_whole(path, f'"""{line}."""\n{body}')
    return path


def _next_number(folder: Path) -> str:
    existing = find_files.numbered(folder, "")
    if not existing:
        return f"{1:0{_WIDTH}d}"
    newest = existing[-1]
    width = len(newest.file_name.partition("_")[0])
    return f"{newest.version + 1:0{width}d}"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Be the only one who gives out numbers in a folder; where it cannot be locked, two may get the same."""
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # some network file systems lock no folders
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write_whole(path: Path, text: str) -> None:
    # A name with a dot before it is no migration's: what a killed process leaves of it does no harm.
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}-partial")
    try:
        # What is no text, as from a file name in another encoding, stands in a string, and is escaped there.
        partial.write_bytes(text.encode(errors="backslashreplace"))
        _put(partial, path)
    except FileExistsError:
        raise ConfigurationError(f"{path}: somebody else has just written it; create again") from None
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        partial.unlink(missing_ok=True)


def _put(partial: Path, path: Path) -> None:
    try:
        os.link(partial, path)  # refuses a name that is taken, which rename does not
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if os.path.lexists(path):
            raise FileExistsError from None
        partial.rename(path)
