"""The snapshots that tests read."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.databases import opened
from tests.support.seeded import REAL, Written, seeded
from tests.support.snapshots import new_store

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def week(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    """Give 600 snapshots of a week."""
    with opened(new_store(tmp_path_factory.mktemp("week") / "usage.db")) as database:
        yield seeded(database, snapshots=600)


@pytest.fixture(scope="session")
def real() -> list[Any]:
    """Give the values of recorded snapshots, each once, in the order of their times."""
    if not REAL.is_file():
        pytest.skip(f"the recorded snapshots are not at {REAL}")
    with gzip.open(REAL, "rt", encoding="utf-8") as file:
        texts = dict.fromkeys(json.loads(line)["snapshot_data"] for line in file)
    return [json.loads(text) for text in texts]
