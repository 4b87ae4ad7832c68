"""The ready-made migration tests: each planted fault fails its own test, and nothing else fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.migration_projects import KILLED, OURS, PLANTED, SOUND, TWO, outcomes
from tests.support.projects_in_other_styles import FAULTS_OF_SCHEMAS, SOUND_STYLES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.support.migration_projects import Outcome

FAULTY = {**PLANTED, **OURS, **FAULTS_OF_SCHEMAS}
ALL_SOUND = {**SOUND, **SOUND_STYLES}
# Other processes run only `up`. They run where a fault is about them, in two other faulty projects, and in sound ones.
IN_PROCESSES = [
    name for name, project in FAULTY.items() if any(KILLED in test or test == TWO for test in project.fails)
]
FEWER_PROCESSES = f"""
def pytest_collection_modifyitems(items):
    wanted = {{*map("test_{{}}.py".format, {[*IN_PROCESSES, "up_fails_on_rows", "down_raises", *ALL_SOUND]})}}
    first = "test_killed_before_each_statement[001_m]"  # is the same in most projects
    items[:] = [
        item for item in items
        if not item.name.startswith(("test_killed", "test_two"))
        or (item.path.name in wanted and (item.name != first or item.path.name == "test_sound.py"))
    ]
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Outcome]]:
    folder = tmp_path_factory.mktemp("projects")
    return folder, outcomes(folder, {**FAULTY, **ALL_SOUND}, conftest=FEWER_PROCESSES)


def of(name: str, found: Mapping[str, Outcome]) -> dict[str, Outcome]:
    return {test.partition("::")[2]: each for test, each in found.items() if test.startswith(f"{name}::")}


@pytest.mark.parametrize("name", FAULTY)
def test_a_planted_fault_fails_its_own_test_with_advice(ran: tuple[Path, dict[str, Outcome]], name: str) -> None:
    found = of(name, ran[1])
    failed = {test: each.said for test, each in found.items() if each.outcome == "failed"}
    fails = FAULTY[name].fails
    assert failed.keys() == fails.keys(), failed
    for test, words in fails.items():
        for word in words:
            assert word in failed[test]
        assert "exception" not in failed[test], "nothing but the advice is printed"
        assert "class_of_tests.py" not in failed[test]


@pytest.mark.parametrize("name", ALL_SOUND)
def test_a_sound_project_passes_all(ran: tuple[Path, dict[str, Outcome]], name: str) -> None:
    found = of(name, ran[1])
    assert {test: each for test, each in found.items() if each.outcome == "failed"} == {}
    assert {test for test, each in found.items() if each.outcome == "skipped"} <= {"test_models_and_migrations_agree"}
    assert len(found) >= 6


def test_the_project_s_own_database_is_never_made(ran: tuple[Path, dict[str, Outcome]]) -> None:
    assert not list(ran[0].rglob("production.db"))
