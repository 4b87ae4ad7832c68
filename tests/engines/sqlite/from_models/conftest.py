"""Fixtures for the tests of migrations from models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.projects import Project

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Any:
    made = Project(tmp_path)
    yield made
    made.close()
