"""The database of the tests of histories and logs: a file, whose tables these tests damage by statements of SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a database that does not exist yet, in an empty folder."""
    path = tmp_path / "data" / "app.db"
    path.parent.mkdir()
    return path
