"""The page about PostgreSQL has the table of differences that the tests have."""

from __future__ import annotations

import re

import pytest

from tests.support.differences import DIFFERENCES
from tests.support.prose import compare, prose

pytestmark = pytest.mark.quick
PAGE = "docs/postgresql.md"


def test_the_differences_on_the_page_are_those_of_the_tests() -> None:
    table = re.search(r"\n## What differs\n+\| \| SQLite \| PostgreSQL \|\n[|-]+\n((?:\|.*\n)+)", prose(PAGE))
    assert table is not None
    on_the_page = table[1].splitlines()
    in_the_tests = [f"| {name} | {each.sqlite} | {each.postgresql} |" for name, each in DIFFERENCES.items()]
    compare(f"{PAGE} lacks: {line}" for line in in_the_tests if line not in on_the_page)
    compare(f"tests/support/differences.py lacks: {line}" for line in on_the_page if line not in in_the_tests)
