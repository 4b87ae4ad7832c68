"""Fixtures for the tests of the migration runner."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.migrations import THREE, write

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a database that does not exist yet, in an empty folder."""
    path = tmp_path / "data" / "app.db"
    path.parent.mkdir()
    return path


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Create a directory with three migrations."""
    return write(tmp_path / "own", THREE)
