"""The fixtures of the tests of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.engines import folder_with_place
from tests.support.migrations import table, write
from tests.support.snapshots import filled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with two migrations in `own` and no database yet."""
    write(tmp_path / "own", {"001_one": table("one"), "002_two": table("two")})
    return tmp_path


@pytest.fixture
def anywhere(server: str, tmp_path: Path) -> Iterator[Path]:
    """Give the same for each engine: on a server, the file `server.url` holds the URL of an empty schema."""
    write(tmp_path / "own", {"001_one": table("one"), "002_two": table("two")})
    with folder_with_place(server, tmp_path) as folder:
        yield folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a database of 600 snapshots of the last 60 days, without open connections."""
    return filled(tmp_path / "usage.db")
