"""Run the package's commands as a shell runs them."""

from __future__ import annotations

import io
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, TextIO
from unittest.mock import patch

import pytest

from tests.support.programs import environment, run_python
from usage_store.cli.grammar.page_texts import PAGES
from usage_store.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.support.databases import Target
    from tests.support.engines import Place

OWN = ("--database", "app.db", "--directory", "own", "--table", "schema_migrations")
# Without these capabilities, root is bound by the permissions of files like any other user.
UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner", "--")
needs_setpriv = pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv, to drop root's privileges")


def command(
    *words: str | Path, cwd: Path, before: Sequence[str] = (), **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run `python -m usage_store.migrate`; `before` is a command in front of it, `extra` are environment variables."""
    return _listed(run_python("-m", "usage_store.migrate", *words, cwd=cwd, before=before, **extra), words)


def called(*words: str | Path, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run a command like `command()`, but in this process, which saves the start of Python.

    Modules of the application that it imported are forgotten afterwards.
    """
    return called_as("migrate", *words, cwd=cwd, **extra)


def called_as(name: str, *words: str | Path, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m usage_store.NAME` in the same way."""
    known = set(sys.modules)
    with (
        chdir(cwd),
        patch.dict(os.environ, environment(**extra), clear=True),
        redirect_stdout(io.StringIO()) as out,
        redirect_stderr(io.StringIO()) as err,
        _shown_as_by_default(err),
    ):
        try:
            code = main([str(word) for word in words], door=(name,))
        except SystemExit as ended:  # argparse raises it
            code = int(ended.code or 0)
    for module in sys.modules.keys() - known:
        if Path(getattr(sys.modules[module], "__file__", None) or "/").is_relative_to(tempfile.gettempdir()):
            del sys.modules[module]
    return _listed(subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue()), words, name)


def _listed(
    done: subprocess.CompletedProcess[str], words: Sequence[str | Path], name: str = "migrate"
) -> subprocess.CompletedProcess[str]:
    """Give back a command that ended with an exit code that its help lists, or by a signal."""
    pages = [PAGES[command] for word in words if (command := (name, str(word))) in PAGES]
    listed = (pages or [PAGES[name,]])[0].exit_codes
    assert done.returncode in (*listed, 143) or done.returncode < 0, (words, done)
    return done


@contextmanager
def _shown_as_by_default(stream: TextIO) -> Iterator[None]:
    handler, logger = logging.StreamHandler(stream), logging.getLogger("usage_store")
    handler.setLevel(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def maintain_command(
    *words: str | Path, cwd: Path, before: Sequence[str] = (), **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run `python -m usage_store.maintain` in the same way."""
    return run_python("-m", "usage_store.maintain", *words, cwd=cwd, before=before, **extra)


def own(folder: Path) -> tuple[str, ...]:
    """Give the options that name the database and the migrations of a folder."""
    return ("--database", str(app(folder)) if isinstance(app(folder), str) else "app.db", *OWN[2:])


def where(folder: Path) -> tuple[str, ...]:
    """Give the same without the history table."""
    return own(folder)[:4]


def app(folder: Path) -> Target:
    """Name the database of a folder: its `app.db`, or the schema whose URL is in its `server.url`."""
    url = folder / "server.url"
    return url.read_text(encoding="utf-8") if url.exists() else folder / "app.db"


def run(
    folder: Path, *words: str, code: int = 0, by: Callable[..., subprocess.CompletedProcess[str]] = called
) -> subprocess.CompletedProcess[str]:
    """Run a command on `app.db` and the migrations in `own`, and check that an error is one line."""
    done = by(*words, *own(folder), cwd=folder)
    assert done.returncode == code, done.stderr
    if code in (0, 1):
        assert besides_the_file(done) == ""
    return done


def error(folder: Path, *words: str, code: int, by: Callable[..., subprocess.CompletedProcess[str]] = called) -> str:
    """Run a command that fails, and give its one line of error."""
    done = run(folder, *words, code=code, by=by)
    assert re.fullmatch(r"error: .+\n", besides_the_file(done))
    assert "Traceback" not in done.stdout
    return besides_the_file(done)


def besides_the_file(done: subprocess.CompletedProcess[str]) -> str:
    """Give what a command says on stderr, but for the line that a database is new, missing or empty."""
    return re.sub(
        r"\A(created /.+|(?:/|postgresql:).+: (there is no database yet|the database is empty); .+)\n", "", done.stderr
    )


def output_of(path: Place, *words: str, code: int = 0) -> str:
    """Run a command on a database, where its file is, and give all that it prints."""
    done = called(*words, "--database", path, cwd=path.parent)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done
    return done.stdout + done.stderr
