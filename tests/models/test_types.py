"""Type checkers know what the columns of a model are, on an instance and on the class."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.programs import ROOT, run_python

if TYPE_CHECKING:
    from pathlib import Path

CHECKERS = {"mypy": ("--strict", "--cache-dir", "cache"), "pyright": ("--pythonpath", sys.executable)}
EXAMPLE = ROOT / "tests" / "examples" / "types_of_models.py"


@pytest.mark.slow
@pytest.mark.parametrize("checker", CHECKERS)
def test_the_columns_of_models_have_types(checker: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed here")
    shutil.copy(EXAMPLE, tmp_path)
    done = run_python("-m", checker, *CHECKERS[checker], EXAMPLE.name, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = EXAMPLE.read_text(encoding="utf-8").replace("(snapshot.id, int)", "(snapshot.id, str)")
    (tmp_path / EXAMPLE.name).write_text(wrong, encoding="utf-8")
    done = run_python("-m", checker, *CHECKERS[checker], EXAMPLE.name, cwd=tmp_path)
    assert "(snapshot.id, str)" in wrong.splitlines()[16]
    assert f"{EXAMPLE.name}:17" in done.stdout  # so it has looked
