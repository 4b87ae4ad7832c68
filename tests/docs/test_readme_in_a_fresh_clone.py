"""The README can be followed from top to bottom in a fresh clone, twice in a row."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.fresh_environments import (
    borrow,
    copy_checkout,
    installed,
    not_installed,
    offline,
    python3_that_lends,
)
from tests.support.pages import Block, Session, blocks_of
from tests.support.programs import TIMEOUT, without_drivers

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("bash") is None or shutil.which("git") is None, reason="needs bash and git"),
    pytest.mark.skipif(not_installed("test") != [], reason=f"needs {', '.join(not_installed('test'))}"),
]

ALL_TESTS = re.compile(r"-m pytest$", re.MULTILINE)
FEW_TESTS = "-m pytest tests/engines/test_engine_of.py"


def git(*words: str, clone: Path) -> str:
    command = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.org", "-C", str(clone), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=TIMEOUT).stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    clone = copy_checkout(tmp_path)
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "All"]):
        git(*words, clone=clone)
    return clone


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a reader who has python3. Pip finds the packages for the clone without the network."""
    for name in ("programs", "lent", "temporary"):
        (tmp_path / name).mkdir()
    python3_that_lends(tmp_path / "programs", borrow(tmp_path / "lent", installed()))
    return offline(
        PATH=f"{tmp_path / 'programs'}:{os.environ['PATH']}",
        TMPDIR=str(tmp_path / "temporary"),
        PYTHONPATH=without_drivers(),  # which peewee would import in each command
        PIP_NO_BUILD_ISOLATION="0",  # which is how pip spells `--no-build-isolation`
    )


def follow(session: Session, blocks: list[Block]) -> None:
    """Run blocks of the README in one shell. Of the clone's tests, run only a few, because this is one of them."""
    for block in blocks:
        if block.file is not None:
            session.write(block, block.file)
        elif block.language == "python":
            session.run_script(block)
        elif block.language == "console":
            session.run_console(block)
        elif block.language == "sh":
            session.run_block(block, block.line, "set -e\n" + ALL_TESTS.sub(FEW_TESTS, block.text))


def test_the_readme_can_be_followed_twice_in_a_fresh_clone(
    clone: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    blocks = blocks_of("README.md")
    assert [block.text for block in blocks if ALL_TESTS.search(block.text)]
    (last,) = (number for number, block in enumerate(blocks) if '"$clone"' in block.text)
    for followed in (blocks, blocks[: last + 1]):  # what comes after it is in a new folder, and does the same again
        follow(Session(clone, tmp_path, environment), followed)
        assert git("status", "--porcelain", clone=clone) == ""
    ignored = git("status", "--porcelain", "--ignored", "migrations", clone=clone).splitlines()
    assert [line for line in ignored if "__pycache__" not in line] == []
