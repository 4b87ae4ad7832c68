"""`usage_store` shows its public names, and imports what is behind them when it is asked; command lines do without."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import usage_store

pytestmark = pytest.mark.quick

ROOT = Path(usage_store.__file__).parents[1]


def printed(*words: str) -> str:
    """What another process says, with nothing of this one's imported."""
    command = [sys.executable, *words]
    return subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True, timeout=300
    ).stdout


def test_importing_the_package_imports_nothing_behind_it() -> None:
    code = (
        "import sys, usage_store; print(*(name for name in sys.modules if name.startswith(('usage_store', 'peewee'))))"
    )
    assert set(printed("-c", code).split()) == {"usage_store", "usage_store._version"}


def test_a_name_is_looked_for_once_and_then_an_attribute_as_any_other() -> None:
    code = """
import usage_store
first = {name: getattr(usage_store, name) for name in usage_store.__all__}
del usage_store.__getattr__
print(all(getattr(usage_store, name) is found for name, found in first.items()), len(first))
"""
    assert printed("-c", code) == f"True {len(usage_store.__all__)}\n"


def test_dir_lists_the_public_names_and_help_says_what_each_does() -> None:
    code = "import usage_store, pydoc; print(dir(usage_store)); print(pydoc.plain(pydoc.render_doc(usage_store)))"
    names, _, said = printed("-c", code).partition("\n")
    assert names == str(sorted(usage_store.__all__))
    assert [name for name in usage_store.__all__ if name not in said] == ["__version__"]
    assert re.search(r"^    init_database\(\s*database:", said, re.MULTILINE)
    for name in ("init_database", "maintain", "insert_usage_snapshot", "UsageConfig"):
        assert str(getattr(usage_store, name).__doc__).partition("\n")[0] in said


@pytest.mark.slow
def test_maintain_is_the_function_and_its_command_line_works_all_the_same(tmp_path: Path) -> None:
    database = str(tmp_path / "usage.db")
    printed("-m", "usage_store.migrate", "--database", database)
    assert printed("-m", "usage_store.maintain", "--database", database).startswith("pruned 0, compacted 0, evicted 0")
    code = "import sys, usage_store; usage_store.init_database(sys.argv[1]); print(usage_store.maintain().pruned)"
    assert printed("-c", code, database) == "0\n"
    assert printed("-c", "import usage_store.cli.usage_commands; print(callable(usage_store.maintain))") == "True\n"


def imported(*words: str) -> set[str]:
    lines = printed("-X", "importtime", *words).splitlines()
    return {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}


@pytest.mark.slow
@pytest.mark.parametrize("command", ["check", "status", "log"])
def test_the_command_line_does_without_the_models(tmp_path: Path, command: str) -> None:
    words = ("-m", "usage_store.migrate", command, "--database", str(tmp_path / "usage.db"))
    printed("-m", "usage_store.migrate", "--database", str(tmp_path / "usage.db"))
    loaded = imported(*words) - imported("-c", "import peewee")  # which imports the drivers that are installed
    assert "usage_store.cli.open_for_command" in loaded
    dear = ("usage_store.models", "usage_store.api", "usage_store.run_maintenance", "usage_store.cli.backup_commands")
    assert [name for name in loaded if name.startswith((*dear, "difflib", "ctypes"))] == []
