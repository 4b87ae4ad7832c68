"""Start commands and other processes, wait for them, and end them."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 300  # seconds; only a hanging process takes so long, even on a busy machine
HIDING = "USAGE_STORE_TEST_HIDING"  # names a folder of modules that hide others
ROUNDS = int(os.environ.get("USAGE_STORE_TEST_ROUNDS", "1"))  # multiplies what the tests marked `long` repeat


def environment(**extra: str) -> dict[str, str]:
    """Give the environment of a process that uses this checkout from another folder.

    Pytest prints longer summaries where `CI` or `BUILD_NUMBER` is set.
    """
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get(HIDING)]))
    theirs = {"CI", "BUILD_NUMBER"}
    ours = {key: value for key, value in os.environ.items() if not key.startswith("USAGE_STORE_") and key not in theirs}
    if ours.pop("PYTHONDONTWRITEBYTECODE", None):
        ours["PYTHONPYCACHEPREFIX"] = _bytecode()
    return {**ours, "PYTHONPATH": path, **extra}


def hide_drivers(*, hidden: bool) -> None:
    """Let the processes of a test that needs no server find no driver for one.

    Peewee imports every driver that it finds, and that would take most of the time of a command.
    """
    if hidden:
        os.environ[HIDING] = without_drivers()
    else:
        os.environ.pop(HIDING, None)


@cache
def without_drivers() -> str:
    """Return a folder that hides the drivers of servers where `PYTHONPATH` names it."""
    folder = _temporary()
    for driver in ("psycopg", "psycopg2"):
        Path(folder, f"{driver}.py").write_text("raise ImportError\n", encoding="utf-8")
    return folder


@cache
def _bytecode() -> str:
    """Make a shared folder for compiled Python files; without it, compiling takes half of the processes' time."""
    return _temporary()


def _temporary() -> str:
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def run_python(
    *words: str | Path, cwd: Path, before: Sequence[str] = (), **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments; `before` is a command in front of it, `extra` are environment variables."""
    command = [*before, sys.executable, *map(str, words)]
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment(**extra),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def printed(code: str, *arguments: str | Path, cwd: Path, **extra: str) -> tuple[str, list[str]]:
    """Run Python code, check that it succeeds, and give its output and the lines of its stderr."""
    done = run_python("-c", code, *arguments, cwd=cwd, **extra)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr.splitlines()


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a process: its exit code and its output."""

    code: int
    out: str
    err: str


READY = "print('ready', flush=True); input()\n"


def start(code: str, *arguments: str | Path, cwd: Path) -> subprocess.Popen[str]:
    """Start Python code that prints a line and then waits for a line, as READY does."""
    pipe = subprocess.PIPE
    words = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(words, cwd=cwd, env=environment(), stdin=pipe, stdout=pipe, stderr=pipe, text=True)


@contextmanager
def running(process: subprocess.Popen[Any]) -> Iterator[None]:
    """Kill a process at the end of the block if it is still running, and close its pipes."""
    with process:
        try:
            yield
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    """Wait for the next line of a started process; the result is empty if the process hangs or has ended."""
    assert process.stdout is not None
    hangs = threading.Timer(TIMEOUT, process.kill)
    hangs.start()
    try:
        return process.stdout.readline()
    finally:
        hangs.cancel()


def await_ready(process: subprocess.Popen[str]) -> None:
    """Wait for the READY line of a started process."""
    if not line_of(process):
        raise AssertionError(process.communicate(timeout=TIMEOUT)[1])


def until(condition: Callable[[], bool], process: subprocess.Popen[Any]) -> None:
    """Wait until a running process has made a condition true."""
    hung = time.monotonic() + TIMEOUT
    while not condition():
        assert process.poll() is None, "it ended before"
        assert time.monotonic() < hung, "it hangs"
        time.sleep(0.001)


def finish(process: subprocess.Popen[str], line: str = "\n") -> Ended:
    """Let a started process continue, and wait for its end."""
    out, err = process.communicate(line, timeout=TIMEOUT)
    return Ended(process.returncode, out, err)


def together(count: int, code: str, *arguments: str | Path, cwd: Path) -> list[Ended]:
    """Run code that contains READY in several processes, which all continue after READY at the same moment."""
    processes = [start(code, *arguments, cwd=cwd) for _ in range(count)]
    for process in processes:
        await_ready(process)
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return [finish(process, "") for process in processes]


def forked(action: Callable[[], object]) -> int:
    """Run a function in a fork of this process, and give the exit code: 0 if it returned."""
    return os.waitstatus_to_exitcode(os.waitpid(_child(action), 0)[1])


def killed_after(seconds: float, action: Callable[[], object]) -> bool:
    """Run a function in a fork of this process and kill the fork; tell whether it was killed before its end."""
    child = _child(action)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def _child(action: Callable[[], object]) -> int:
    child = os.fork()
    if child == 0:
        signal.alarm(TIMEOUT)  # ends the process if it hangs
        code = 1
        try:
            action()
            code = 0
        finally:
            os._exit(code)
    return child
