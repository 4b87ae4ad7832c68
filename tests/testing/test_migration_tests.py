"""The ready-made migration tests: each planted fault fails its own test, and nothing else fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.migration_projects import OURS, PLANTED, SOUND, outcomes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.support.migration_projects import Outcome

# Most projects begin with the same migration, and its kills take half of the time.
FEWER_KILLS = """
def pytest_collection_modifyitems(items):
    killed = "test_killed_before_each_statement[001_m]"
    items[:] = [item for item in items if item.name != killed or "test_sound" in item.nodeid]
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Outcome]]:
    folder = tmp_path_factory.mktemp("projects")
    return folder, outcomes(folder, {**PLANTED, **OURS, **SOUND}, conftest=FEWER_KILLS)


def of(name: str, found: Mapping[str, Outcome]) -> dict[str, Outcome]:
    return {test.partition("::")[2]: each for test, each in found.items() if test.startswith(f"{name}::")}


@pytest.mark.parametrize("name", [*PLANTED, *OURS])
def test_a_planted_fault_fails_its_own_test_with_advice(ran: tuple[Path, dict[str, Outcome]], name: str) -> None:
    found = of(name, ran[1])
    failed = {test: each.said for test, each in found.items() if each.outcome == "failed"}
    fails = {**PLANTED, **OURS}[name].fails
    assert failed.keys() == fails.keys(), failed
    for test, words in fails.items():
        for word in words:
            assert word in failed[test]
        assert "exception" not in failed[test], "nothing but the advice is printed"
        assert "class_of_tests.py" not in failed[test]


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_project_passes_all(ran: tuple[Path, dict[str, Outcome]], name: str) -> None:
    found = of(name, ran[1])
    assert {test: each for test, each in found.items() if each.outcome == "failed"} == {}
    assert {test for test, each in found.items() if each.outcome == "skipped"} <= {"test_models_and_migrations_agree"}
    assert len(found) >= 6


def test_the_project_s_own_database_is_never_made(ran: tuple[Path, dict[str, Outcome]]) -> None:
    assert not list(ran[0].rglob("production.db"))
