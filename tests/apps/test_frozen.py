"""Programs that PyInstaller, shiv and pex make of the wheel, and commands that pipx and uv install from it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import called
from tests.support.fresh_environments import copy_checkout
from tests.support.migrations import sql, write
from tests.support.programs import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COMMAND_LINE = "from usage_store.cli import start\nstart()\n"
LIBRARY = """\
import os
from pathlib import Path

import usage_store
from usage_store.testing import seed_usage

database = usage_store.init_database("app.db")
own = usage_store.MigrationRunner(database, Path(__file__).parent / "own")
print(*(step.migration for step in own.migrate()), own.validate().ok)
print(len(seed_usage(database, sessions=2, snapshots=10).sessions), usage_store.get_usage_config().plan)
print(usage_store.maintain(retention_days=1).pruned >= 0)
print(*(step.name for step in usage_store.rollback_migrations()))
print(*(step.name for step in usage_store.run_migrations()), usage_store.validate_database())
"""
SCRIPTS = Path(sys.executable).parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    checkout = copy_checkout(tmp_path_factory.mktemp("build"))
    _run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist"], checkout)
    (wheel,) = (checkout / "dist").iterdir()
    return wheel


@pytest.fixture(scope="module")
def site(wheel: Path) -> Path:
    """Install the wheel into a folder, so that PyInstaller finds it there even if this environment is editable."""
    _run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", "site", wheel], wheel.parent)
    return wheel.parent / "site"


def _run(command: Sequence[str | Path], folder: Path, extra: Mapping[str, str] | None = None, code: int = 0) -> str:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "USAGE_STORE"))}
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    done = subprocess.run(
        command,
        cwd=folder,
        env={**inherited, "TMPDIR": str(temporary), **(extra or {})},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def _frozen(program: str, folder: Path, site: Path, *options: str) -> None:
    pytest.importorskip("PyInstaller")
    (folder / "program.py").write_text(program)
    command = [sys.executable, "-m", "PyInstaller", *options, "program.py"]
    _run(command, folder, {"PYTHONPATH": str(site), "PYINSTALLER_CONFIG_DIR": str(folder / "cache")})


def check_the_command_line(command: Sequence[str | Path], folder: Path, extra: Mapping[str, str] | None = None) -> None:
    """Migrate, validate and roll back with an installed program, and use its database with this installation."""
    database = ("--database", folder / "app.db")

    def run(*words: str, code: int = 0) -> str:
        return _run([*command, "migrate", *words, *database], folder, extra, code)

    assert run("check", code=1) == "3 pending\n"
    assert run().count("applied 00") == 3
    for words in (("check",), ("validate",), ("validate", "--replay")):
        done = called(*words, *database, cwd=folder)
        assert (done.returncode, done.stderr) == (0, ""), words
    assert run("rollback").startswith("rolled back 003_")
    assert run("rehearse").endswith("schema and rows are as before\n")
    assert called(*database, cwd=folder).stdout.startswith("applied 003_")
    assert run("validate", "--replay").endswith("valid\n")
    assert _run([*command, "maintain", *database], folder, extra).startswith("pruned 0, ")
    assert list((folder / "temporary").iterdir()) == []


def test_pyinstaller_makes_one_file_without_options(tmp_path: Path, site: Path) -> None:
    _frozen(COMMAND_LINE, tmp_path, site, "--onefile")
    program = tmp_path / "dist" / "program"
    check_the_command_line([program], tmp_path)
    said = _run([program, "migrate", "--directory", "gone", "--json"], tmp_path, code=2)
    assert "--add-data" in said


def test_pyinstaller_makes_a_folder_with_an_application_s_own_migrations(tmp_path: Path, site: Path) -> None:
    write(tmp_path / "own", {"001_own": sql("CREATE TABLE own (a)", down=["DROP TABLE own"])})
    _frozen(LIBRARY, tmp_path, site, "--onedir", "--add-data", f"own{os.pathsep}own")
    said = _run([tmp_path / "dist" / "program" / "program"], tmp_path).splitlines()
    third = "follow_events_and_references"
    assert said == ["001_own True", "2 max5", "True", third, f"{third} True"]
    assert called("validate", "--database", tmp_path / "app.db", cwd=tmp_path).returncode == 0


def test_pipx_installs_the_command(tmp_path: Path, wheel: Path) -> None:
    pytest.importorskip("pipx")
    folders = {name: str(tmp_path / name) for name in ("PIPX_HOME", "PIPX_BIN_DIR", "PIPX_MAN_DIR", "PIPX_SHARED_LIBS")}
    _run([sys.executable, "-m", "pipx", "install", "--python", sys.executable, wheel], tmp_path, folders)
    assert [path.name for path in (tmp_path / "PIPX_BIN_DIR").iterdir()] == ["usage-store"]
    check_the_command_line([tmp_path / "PIPX_BIN_DIR" / "usage-store"], tmp_path)


def test_uv_installs_the_command(tmp_path: Path, wheel: Path) -> None:
    pytest.importorskip("uv")
    folders = {name: str(tmp_path / name) for name in ("UV_TOOL_DIR", "UV_TOOL_BIN_DIR", "UV_CACHE_DIR")}
    _run([SCRIPTS / "uv", "tool", "install", "--python", sys.executable, wheel], tmp_path, folders)
    assert [path.name for path in (tmp_path / "UV_TOOL_BIN_DIR").iterdir()] == ["usage-store"]
    check_the_command_line([tmp_path / "UV_TOOL_BIN_DIR" / "usage-store"], tmp_path)


def test_shiv_makes_a_program(tmp_path: Path, wheel: Path) -> None:
    pytest.importorskip("shiv")
    _run([sys.executable, "-m", "shiv", "-c", "usage-store", "-o", "program.pyz", wheel], tmp_path)
    check_the_command_line([sys.executable, "program.pyz"], tmp_path, {"SHIV_ROOT": str(tmp_path / "unpacked")})


def test_pex_makes_a_program(tmp_path: Path, wheel: Path) -> None:
    pytest.importorskip("pex")
    root = {"PEX_ROOT": str(tmp_path / "unpacked")}
    _run([sys.executable, "-m", "pex", wheel, "-c", "usage-store", "-o", "program.pex"], tmp_path, root)
    check_the_command_line([sys.executable, "program.pex"], tmp_path, root)
