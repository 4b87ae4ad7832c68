"""The fixture `make_usage_database` in the test runs of applications."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.applications import run, write

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick

OWN_TEMPLATE = """
    import pytest, usage_store

    @pytest.fixture(scope="session")
    def usage_store_template():
        return lambda database: usage_store.register_session(__name__)
"""
TEST = """
    import pytest, usage_store

    @pytest.fixture(scope="module")
    def made(make_usage_database):
        with make_usage_database() as database:
            yield database

    @pytest.mark.parametrize("n", [1, 2])
    def test_it(made, n):
        assert [each.session_id for each in usage_store.UsageSession] == SESSIONS
"""


def test_each_module_has_the_template_that_its_tests_have(tmp_path: Path) -> None:
    for name, own, sessions in (("a", OWN_TEMPLATE, ["test_a"]), ("b", OWN_TEMPLATE, ["test_b"]), ("c", "", [])):
        write(tmp_path / f"test_{name}.py", own + TEST.replace("SESSIONS", repr(sessions)))
    printed = run(tmp_path)
    assert "6 passed" in printed, printed
