"""Create a migration file."""

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

_WIDTH = 3  # digits of the number of the first migration

_EMPTY = '''

def up(migrator, db):
    """Apply the migration. This and its row in the history table are one transaction."""
    raise NotImplementedError("write {file} first")


def down(migrator, db):
    """Undo `up`. If that is impossible, write irreversible = "why" in the place of this function."""
    raise NotImplementedError("write {file} first")
'''


def create(directory: str | os.PathLike[str], title: str, source: str | None = None) -> Path:
    """Create a migration file with the next number, and return its path. A missing directory is created.

    `source` is the text after the docstring. Without it, the migration is empty and raises an error when it is run. The
    number has as many digits as the newest number. The file is never written partially and never replaces another
    file. Raises ConfigurationError for a title without letters and digits, and OSError if the file cannot be written.
    """
    slug = "_".join(re.findall(r"\w+", title)).lower()
    if not slug:
        raise ConfigurationError(f"{title!r}: the name of a migration needs letters or digits")
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
    """Lock the folder, so that only one process chooses a number at a time.

    On Windows and some network file systems a folder cannot be locked. There, two processes may choose the same number.
    """
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # some network file systems cannot lock a folder
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write_whole(path: Path, text: str) -> None:
    # A file whose name starts with a dot is no migration, so a file that a killed process leaves does no harm.
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}-partial")
    try:
        # Characters that cannot be encoded, as in a path of another encoding, are written as escapes inside a string.
        partial.write_bytes(text.encode(errors="backslashreplace"))
        _put(partial, path)
    except FileExistsError:
        raise ConfigurationError(f"{path}: another process has just created this file; run create again") from None
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        partial.unlink(missing_ok=True)


def _put(partial: Path, path: Path) -> None:
    try:
        os.link(partial, path)  # unlike rename, this fails if the name exists
    except FileExistsError:
        raise
    except OSError:  # the file system has no hard links
        if os.path.lexists(path):
            raise FileExistsError from None
        partial.rename(path)
