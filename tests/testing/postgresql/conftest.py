"""The fixture of the tests that fill the tables of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.databases import opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    import peewee


@pytest.fixture
def database(postgresql_url: str) -> Iterator[peewee.Database]:
    """Give a database with an empty schema."""
    with opened(postgresql_url) as found:
        yield found
