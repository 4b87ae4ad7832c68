"""What is built, and that every way to install it, or not to, gives a working package."""

from __future__ import annotations

import configparser
import email
import importlib.metadata
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import usage_store
from tests.support.commands import command
from tests.support.fresh_environments import PROJECT, borrow, copy_checkout, offline
from tests.support.programs import ROOT, TIMEOUT
from usage_store import init_database
from usage_store.testing import seed_usage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from email.message import Message

BORROWED = ("peewee", "setuptools", "packaging", "pytest", "pluggy", "iniconfig", "pygments")
TOP_LEVEL = {
    *("setup.cfg", "pyproject.toml", "usage_store", "migrations", "tests", "README.md"),
    *("LICENSE", "CHANGELOG.md", "MANIFEST.in"),
}
HOOK = ".hook-usage_store"  # imported by PyInstaller only, as it imports PyInstaller
SCRIPTS = PROJECT.get("scripts", {})
pytestmark = pytest.mark.skipif(
    int(importlib.metadata.version("setuptools").split(".")[0]) < 77, reason="building needs setuptools 77"
)


def _run(command: Sequence[object], folder: Path, **environment: str) -> str:
    result = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=offline(**environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


@pytest.fixture(scope="module")
def borrowed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Link to what the environments need of this one, and to nothing else that is installed here."""
    return borrow(tmp_path_factory.mktemp("borrowed"), BORROWED)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Build the sdist, and from the sdist the wheel."""
    checkout = copy_checkout(tmp_path_factory.mktemp("build"))
    _run([sys.executable, "-m", "build", "--no-isolation", "--outdir", checkout.parent / "dist"], checkout)
    built = {path.suffix: path for path in (checkout.parent / "dist").iterdir()}
    assert built.keys() == {".whl", ".gz"}
    return built


def _environment(folder: Path, borrowed: Path) -> Path:
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    (_site(python) / "borrowed.pth").write_text(f"{borrowed}\n")
    return python


@pytest.fixture
def python(tmp_path: Path, borrowed: Path) -> Path:
    """Give the interpreter of a fresh environment that has only what is borrowed."""
    return _environment(tmp_path, borrowed)


@pytest.fixture(scope="module")
def python_with_wheel(tmp_path_factory: pytest.TempPathFactory, built: dict[str, Path], borrowed: Path) -> Path:
    """Give the interpreter of an environment in which the wheel is installed."""
    folder = tmp_path_factory.mktemp("with_wheel")
    python = _environment(folder, borrowed)
    _pip_install(python, folder, built[".whl"])
    return python


def _site(python: Path) -> Path:
    return Path(sysconfig.get_path("purelib", vars={"base": str(python.parents[1])}))


def _pip_install(python: Path, folder: Path, *arguments: object) -> None:
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-build-isolation"]
    _run([*pip, *arguments], folder)


def _check_it_works(python: Path, folder: Path, home: Path, **environment: str) -> None:
    """Run the main job and the fixtures far from the sources; `home` is where the package has to come from."""
    folder.mkdir()
    where = _run([python, "-c", "import usage_store; print(usage_store.__file__)"], folder, **environment)
    assert Path(where.strip()) == home / "usage_store" / "__init__.py"
    said = _run([python, "-W", "error", "-m", "usage_store.migrate"], folder, **environment)
    versions = ("001_add_usage_tracking_tables", "002_compact_snapshots", "003_follow_events_and_references")
    applied = re.sub(r" \([0-9.]+ ms\)$", "", said, flags=re.MULTILINE).splitlines()
    assert [line for line in applied if not line.startswith("created ")] == [f"applied {name}" for name in versions]
    said = _run([python, "-W", "error", "-m", "usage_store.migrate", "status"], folder, **environment)
    assert said.startswith("version 3 of 3, 0 pending in ")
    for script in SCRIPTS if "PYTHONPATH" not in environment else ():
        assert _run([python.parent / script, "--version"], folder) == f"{script} {usage_store.__version__}\n"
    assert [path.name for path in folder.iterdir()] == ["usage.db"]


def _sources(built: dict[str, Path], *folders: str, suffix: str = ".py") -> set[str]:
    checkout = built[".gz"].parents[1] / "checkout"
    paths = (path for folder in folders for path in (checkout / folder).rglob(f"*{suffix}"))
    return {path.relative_to(checkout).as_posix() for path in paths}


def _new_in(python: Path) -> set[str]:
    return {path.name for path in _site(python).iterdir()} - {"borrowed.pth", "__pycache__"}


def _metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


def _entry_points(wheel: Path) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser()
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt"))
        parser.read_string(archive.read(name).decode())
    return {section: dict(parser[section]) for section in parser.sections()}


def test_the_wheel_holds_the_package_and_nothing_else(built: dict[str, Path]) -> None:
    with zipfile.ZipFile(built[".whl"]) as archive:
        names = set(archive.namelist())
    inside = {name for name in names if name.startswith("usage_store/")}
    migrations = {f"usage_store/{name}" for name in _sources(built, "migrations")}
    schemas = {f"usage_store/migrations/_schemas.{engine}.json" for engine in ("postgresql", "sqlite")}
    data = {"usage_store/py.typed", *schemas}
    assert inside == _sources(built, "usage_store") | migrations | data
    assert "usage_store/migrations/001_add_usage_tracking_tables.py" in inside
    (about,) = {name.split("/")[0] for name in names - inside}
    assert re.fullmatch(r"usage_store-[0-9][0-9a-z.]*\.dist-info", about)
    assert f"{about}/licenses/LICENSE" in names


def test_the_plugin_has_the_name_of_its_module(built: dict[str, Path]) -> None:
    """Under another name, pytest would load the plugin twice where somebody also names it with `-p`."""
    assert _entry_points(built[".whl"])["pytest11"] == {"usage_store.pytest_plugin": "usage_store.pytest_plugin"}


def test_pyinstaller_finds_the_hook(built: dict[str, Path], python: Path, tmp_path: Path) -> None:
    """`tests/apps` runs PyInstaller itself."""
    wheel = built[".whl"]
    module, _, function = _entry_points(wheel)["pyinstaller40"]["hook-dirs"].partition(":")
    code = f"import {module} as hooks; print(*hooks.{function}(), end='')"
    folder = Path(_run([python, "-c", code], tmp_path, PYTHONPATH=str(wheel))).relative_to(wheel)
    with zipfile.ZipFile(wheel) as archive:
        assert (folder / f"{HOOK[1:]}.py").as_posix() in archive.namelist()


def test_one_command_is_installed(built: dict[str, Path]) -> None:
    """`_check_it_works` runs it in each kind of installation."""
    assert list(_entry_points(built[".whl"])["console_scripts"]) == ["usage-store"]


def test_the_metadata_says_what_is_needed(built: dict[str, Path]) -> None:
    metadata = _metadata(built[".whl"])
    assert metadata["Name"] == "usage-store"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Description-Content-Type"] == "text/markdown"
    needed = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert needed == ["peewee<5,>=4.5", 'tzdata; sys_platform == "win32"']


def test_the_version_is_the_package_s_own(built: dict[str, Path], python: Path) -> None:
    code = "import usage_store; print(usage_store.__version__, end='')"
    version = _run([python, "-c", code], python.parent, PYTHONPATH=str(ROOT))
    assert _metadata(built[".whl"])["Version"] == version
    assert built[".gz"].name == f"usage_store-{version}.tar.gz"


def test_the_sdist_holds_the_sources_the_migrations_and_the_tests(built: dict[str, Path]) -> None:
    with tarfile.open(built[".gz"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names >= _sources(built, "usage_store", "migrations", "tests") | {"usage_store/py.typed"}
    assert {"tests/test_packaging.py", "migrations/001_add_usage_tracking_tables.py"} <= names
    assert names >= _sources(built, "docs", suffix=".md")
    assert {name.partition("/")[0] for name in names} - {"", "docs"} == TOP_LEVEL | {"PKG-INFO", "usage_store.egg-info"}
    assert not [name for name in names if name.endswith((".pyc", ".db"))]


def test_the_wheel_installs_and_works(python_with_wheel: Path, tmp_path: Path) -> None:
    assert {name.partition("-")[0] for name in _new_in(python_with_wheel)} == {"usage_store"}
    _check_it_works(python_with_wheel, tmp_path / "elsewhere", _site(python_with_wheel))


def test_the_sdist_installs_and_works(built: dict[str, Path], python: Path, tmp_path: Path) -> None:
    _pip_install(python, tmp_path, built[".gz"])
    assert {name.partition("-")[0] for name in _new_in(python)} == {"usage_store"}
    _check_it_works(python, tmp_path / "elsewhere", _site(python))


def test_every_module_of_the_wheel_can_be_imported_and_none_is_missing(
    built: dict[str, Path], python_with_wheel: Path, tmp_path: Path
) -> None:
    walk = "pkgutil.walk_packages(usage_store.__path__, 'usage_store.')"
    code = f"import pkgutil, usage_store; names = [m.name for m in {walk} if not m.name.endswith('{HOOK}')]"
    code = f"{code}; print(*(__import__(name) and name for name in names))"
    said = _run([python_with_wheel, "-W", "error", "-c", code], tmp_path)
    sources = _sources(built, "usage_store") | {f"usage_store/{name}" for name in _sources(built, "migrations")}
    plain = {name.removesuffix(".py").removesuffix("/__init__") for name in sources}
    names = {name.replace("/", ".") for name in plain if "." not in name}  # a file for one engine is found by its path
    modules = {name for name in names if not name.endswith(HOOK)}
    assert len(modules) == len(names) - 1
    assert set(said.split()) | {"usage_store"} == modules


def test_an_editable_install_works_and_follows_the_sources(python: Path, tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path)
    _pip_install(python, checkout, "-e", ".")
    assert not (_site(python) / "usage_store").exists()
    _check_it_works(python, tmp_path / "elsewhere", checkout)
    (checkout / "migrations" / "004_more.py").write_text("def up(migrator, db):\n    pass\n")
    said = _run([python, "-m", "usage_store.migrate"], tmp_path / "elsewhere")
    assert said.startswith("applied 004_more ")


def test_a_checkout_installs_and_works_without_it_and_builds_nothing_again_that_was_deleted(
    python: Path, tmp_path: Path
) -> None:
    checkout, package = copy_checkout(tmp_path), _site(python) / "usage_store"
    gone = ("migrations/004_more.py", "migrations/_schemas.other.json", "usage_store/more.py")
    for name in gone:
        (checkout / name).touch()
    _pip_install(python, checkout, ".")
    assert (package / "migrations" / "004_more.py").exists()
    for name in gone:
        (checkout / name).unlink()
    _pip_install(python, checkout, ".")
    assert (package / "migrations" / "003_follow_events_and_references.py").exists()
    assert not {Path(name).name for name in gone} & {path.name for path in package.rglob("*")}
    assert {name.partition("-")[0] for name in _new_in(python)} == {"usage_store"}
    shutil.rmtree(checkout)
    _check_it_works(python, tmp_path / "elsewhere", _site(python))


def test_a_checkout_works_without_being_installed(python: Path, tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path)
    _check_it_works(python, tmp_path / "elsewhere", checkout, PYTHONPATH=str(checkout))


@pytest.mark.parametrize("named", [(), ("-p", "usage_store.pytest_plugin")])
def test_the_fixtures_are_there_once_installed_and_naming_the_plugin_besides_does_no_harm(
    python_with_wheel: Path, tmp_path: Path, named: tuple[str, ...]
) -> None:
    folder = tmp_path / "application"
    folder.mkdir()
    (folder / "test_it.py").write_text("def test_it(usage_database):\n    assert usage_database.get_tables()\n")
    assert "1 passed" in _run([python_with_wheel, "-m", "pytest", "-W", "error", *named], folder)


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
@pytest.mark.skipif(not (ROOT / ".gitignore").exists(), reason="needs .gitignore")
def test_git_ignores_databases_their_files_and_their_backups(tmp_path: Path) -> None:
    shutil.copy(ROOT / ".gitignore", tmp_path)
    _run(["git", "init", "-q"], tmp_path)
    seed_usage(init_database(tmp_path / "usage.db"), sessions=1, snapshots=1)
    assert command("rollback", cwd=tmp_path).returncode == 0
    assert list(tmp_path.glob("usage.db.*.backup"))
    assert _run(["git", "status", "--porcelain"], tmp_path) == "?? .gitignore\n"
