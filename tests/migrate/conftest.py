"""Fixtures for the tests of the migration runner."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.engines import empty_place
from tests.support.migrations import THREE, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.engines import Place


@pytest.fixture
def path(server: str, tmp_path: Path) -> Iterator[Place]:
    """Give an empty place for a database on each engine: in an empty folder, the path of no file yet; or a URL."""
    (tmp_path / "data").mkdir()
    with empty_place(server, tmp_path / "data" / "app.db") as place:
        yield place


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Create a directory with three migrations."""
    return write(tmp_path / "own", THREE)
