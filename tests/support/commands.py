"""The package's command lines, as a shell runs them."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.programs import run_python

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence
    from pathlib import Path

OWN = ("--database", "app.db", "--directory", "own", "--table", "schema_migrations")
# Without these root is held to the permissions of files like anybody else.
UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner", "--")
needs_setpriv = pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv, to drop root's privileges")


def command(
    *words: str | Path, cwd: Path, before: Sequence[str] = (), **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run `python -m usage_store.migrate`; `before` are words in front of it, `extra` environment variables."""
    return run_python("-m", "usage_store.migrate", *words, cwd=cwd, before=before, **extra)


def maintain_command(*words: str | Path, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m usage_store.maintain`; `extra` are environment variables."""
    return run_python("-m", "usage_store.maintain", *words, cwd=cwd, **extra)


def run(folder: Path, *words: str, code: int = 0, before: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run a command on `app.db` and the migrations in `own`; whatever goes wrong is one line."""
    done = command(*words, *OWN, cwd=folder, before=before)
    assert done.returncode == code, done.stderr
    if code in (0, 1):
        assert done.stderr == ""
    return done


def error(folder: Path, *words: str, code: int, before: Sequence[str] = ()) -> str:
    """Run a command that fails, and give the one line that it says."""
    done = run(folder, *words, code=code, before=before)
    assert re.fullmatch(r"error: .+\n", done.stderr)
    assert "Traceback" not in done.stdout
    return done.stderr


def output_of(path: Path, *words: str, code: int = 0) -> str:
    """Run a command on a database in its folder, and give all that it prints."""
    done = command(*words, "--database", path, cwd=path.parent)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done
    return done.stdout + done.stderr
