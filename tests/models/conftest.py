"""The fixtures of the tests of the usage tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    import peewee


@pytest.fixture
def path(usage_database: peewee.Database, tmp_path: Path) -> Path:  # noqa: ARG001  it makes the file
    """Name the file of `usage_database`."""
    return tmp_path / "usage.db"
