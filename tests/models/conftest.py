"""The fixtures of the tests of the usage tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import peewee

    from tests.support.databases import Target


@pytest.fixture
def path(usage_database: peewee.Database, store_target: Target) -> Target:  # noqa: ARG001  it makes the tables
    """Name the file of `usage_database`, or the schema of the server."""
    return store_target
