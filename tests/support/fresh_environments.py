"""Fresh checkouts and virtual environments that take what they need from the environment that runs the tests."""

from __future__ import annotations

import os
import shutil
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.programs import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
_NOT_COPIED = (".git", ".venv", ".ci-venv", ".hypothesis", ".*_cache", "__pycache__", "build", "dist", "*.egg-info")


def copy_checkout(folder: Path) -> Path:
    """Copy this checkout as a fresh clone has it, with what is not committed yet: no caches, nothing that was built."""
    ignored = shutil.ignore_patterns(*_NOT_COPIED, "*.db", "*.db-*", "*.backup")
    return Path(shutil.copytree(ROOT, folder / "checkout", ignore=ignored))


def borrow(folder: Path, names: Iterable[str]) -> Path:
    """Link to the installed distributions of these names; a `.pth` file that names the folder makes them importable."""
    for name in names:
        distribution = metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            if not top.endswith(".pth") and not (folder / top).exists():
                (folder / top).symlink_to(Path(str(distribution.locate_file(top))))
    return folder


def installed() -> set[str]:
    """Name all installed distributions but this one."""
    return {str(canonicalize_name(found.metadata["Name"])) for found in metadata.distributions()} - {"usage-store"}


def not_installed(*extras: str) -> list[str]:
    """List what this project and these extras of it need, and what is not installed here in a version that will do."""
    needed = [*PROJECT["dependencies"], *(line for extra in extras for line in PROJECT["optional-dependencies"][extra])]
    requirements = map(Requirement, needed)
    here = (required for required in requirements if required.marker is None or required.marker.evaluate())
    return [str(required) for required in here if not _is_installed(required)]


def _is_installed(required: Requirement) -> bool:
    try:
        return metadata.version(required.name) in required.specifier
    except metadata.PackageNotFoundError:
        return False


def offline(**extra: str) -> dict[str, str]:
    """Give an environment without settings of Python, pip, pytest or this package, where pip asks no index."""
    ours = ("PYTHON", "PIP_", "PYTEST", "USAGE_STORE", "VIRTUAL_ENV")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    pip = {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_CONFIG_FILE": os.devnull}
    return inherited | pip | extra


def python3_that_lends(programs: Path, lent: Path) -> None:
    """Write a command `python3` into a folder; the environments that its `-m venv` makes can import what is `lent`.

    Their pip is lent as well, since each environment with a pip of its own takes seconds.
    """
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    program = programs / "python3"
    program.write_text(
        f"""#!/bin/sh
set -e
if [ "$1 $2" != "-m venv" ]; then exec "{Path(sys.base_prefix, "bin", version)}" "$@"; fi
"{Path(sys.base_prefix, "bin", version)}" "$@" --without-pip
echo "{lent}" >"$3/lib/{version}/site-packages/lent.pth"
printf '#!/bin/sh\nexec "%s" -m pip "$@"\n' "$(cd "$3" && pwd)/bin/python" >"$3/bin/pip"
chmod +x "$3/bin/pip"
"""
    )
    program.chmod(0o755)
