"""What the tests of the runner share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.migrations import THREE, write

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name a database that is still to be made, alone in its folder."""
    path = tmp_path / "data" / "app.db"
    path.parent.mkdir()
    return path


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Make a directory of three migrations."""
    return write(tmp_path / "own", THREE)
