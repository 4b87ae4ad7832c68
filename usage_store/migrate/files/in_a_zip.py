"""List and read files inside a zip archive, such as a zipapp, by their paths: `/srv/app.pyz/app/migrations/001_add.py`.

Python imports modules from such a path, but the operating system cannot open it. This module is imported only after the
operating system has failed.
"""

from __future__ import annotations

import errno
import os
from zipimport import ZipImportError, zipimporter
from zlib import error as CompressionError  # noqa: N812  zlib calls it `error`


def names(folder: str) -> list[str] | None:
    """Return the names in a folder of an archive, or None if there is no such folder. Reads only.

    `content` then reads the archive as it is now, even if it was replaced since Python imported from it. Raises OSError
    for an archive that cannot be read.
    """
    from zipfile import ZipFile  # noqa: PLC0415  takes longer to import than all other modules for migration files

    importer = _importer(folder)
    if importer is None:
        return None
    importer.invalidate_caches()
    with ZipFile(importer.archive) as archive:
        listed = archive.namelist()
    start = importer.prefix.replace(os.sep, "/")
    found = {name.removeprefix(start).partition("/")[0] for name in listed if name.startswith(start)}
    return sorted(found - {""}) if found else None


def content(file: str) -> bytes | None:
    """Return the content of a file in an archive, or None if there is no such file. Reads only.

    Raises OSError for an archive that cannot be read.
    """
    importer = _importer(os.path.dirname(file))
    if importer is None:
        return None
    try:
        return importer.get_data(file)
    except (ZipImportError, CompressionError, EOFError) as error:
        raise OSError(errno.EIO, f"{importer.archive} is damaged: {error}") from error
    except OSError as error:
        if error.errno:
            raise
        return None  # zipimport found no such name


def changed_at(file: str) -> int:
    """Return the time of the last change of a file or, for a file in an archive, of the archive (nanoseconds)."""
    try:
        return os.stat(file).st_mtime_ns
    except OSError:
        importer = _importer(os.path.dirname(file))
        if importer is None:
            raise
        return os.stat(importer.archive).st_mtime_ns


def _importer(folder: str) -> zipimporter | None:
    try:
        return zipimporter(folder)
    except ZipImportError:
        return None
