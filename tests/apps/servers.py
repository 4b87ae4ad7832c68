"""Start real servers on a free port, send them requests from many threads, and end them by SIGTERM."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.programs import ROOT, TIMEOUT, environment, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

PROGRAMS = Path(__file__).parent / "programs"
GUNICORN = ("gunicorn", "--bind", "127.0.0.1:0", "--workers", "4")
CLIENTS = 8
ALL = range(160)  # the numbers that are sent before a server is ended
_URL = re.compile(r"http://127\.0\.0\.1:[1-9]\d*")


@dataclass
class Answers:
    """The HTTP status of each number that was sent; 0 where no answer came."""

    status: dict[int, int] = field(default_factory=dict)

    @property
    def accepted(self) -> set[int]:
        return {number for number, status in self.status.items() if status == 200}


@dataclass(frozen=True)
class Server:
    """A running server, and the file with all that it prints."""

    process: subprocess.Popen[bytes]
    log: Path
    url: str

    def printed(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def post(
        self, numbers: Iterable[int], route: str = "snapshots", seen: Callable[[int], object] = lambda _count: None
    ) -> Answers:
        """Send each number once, from as many threads as there are clients; a thread stops where no answer comes.

        After each answer, `seen` is called with how many have come.
        """
        return _post(f"{self.url}/{route}", list(numbers), seen)

    def end_while_asked(self) -> Answers:
        """Send numbers without a pause, and SIGTERM after the first hundred answers, until the server is gone."""

        def end_at_the_hundredth(count: int) -> None:
            if count == 100:
                self.process.terminate()

        answers = self.post(range(100_000), seen=end_at_the_hundredth)
        self.process.wait(TIMEOUT)
        return answers


@contextmanager
def serving(*words: str, cwd: Path, workers: int = 0) -> Iterator[Server]:
    """Run a server in a folder until the end of the block, as `started` does. Waits for so many workers."""
    with started(*words, cwd=cwd) as (process, log):
        yield Server(process, log, _url_of(process, log, workers))
        process.terminate()


@contextmanager
def started(*words: str, cwd: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run a Python module as a process; the block ends it. Afterwards, none of the processes that it started is left.

    The database is `usage.db` in the folder. What it prints is in the file that is given with the process.
    """
    log = cwd / "printed.log"
    with log.open("wb") as printed:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=cwd,
            env=application_environment(cwd),
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process, log
        process.wait(TIMEOUT)
        _await_end_of_all(process.pid)
    finally:
        if _is_alive(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(TIMEOUT)


def application_environment(cwd: Path, **extra: str) -> dict[str, str]:
    """Give the environment of a program in `programs/` that runs in a folder, with the database `usage.db` there."""
    path = os.pathsep.join(map(str, (ROOT, PROGRAMS, cwd)))
    return environment(PYTHONPATH=path, HOME=str(cwd), USAGE_STORE_DATABASE=str(cwd / "usage.db"), **extra)


def _url_of(process: subprocess.Popen[bytes], log: Path, workers: int) -> str:
    def is_up() -> bool:
        text = log.read_text(encoding="utf-8", errors="replace")
        started = text.count("Booting worker") + text.count("Application startup complete")
        return bool(_URL.search(text)) and started >= workers

    try:
        until(is_up, process)
    except AssertionError as error:
        raise AssertionError(log.read_text(encoding="utf-8", errors="replace")) from error
    found = _URL.search(log.read_text(encoding="utf-8", errors="replace"))
    assert found is not None
    return found[0]


def _await_end_of_all(group: int) -> None:
    """Wait for the end of the processes that a server has started, such as Python's own tracker of resources."""
    hung = time.monotonic() + 30
    while _is_alive(group):
        assert time.monotonic() < hung, "a process of the server is left"
        time.sleep(0.01)


def _is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _post(url: str, numbers: list[int], seen: Callable[[int], object]) -> Answers:
    import httpx

    answers = Answers()
    count = itertools.count(1)

    def ask(mine: list[int]) -> None:
        # A connection for each request, so that the workers share them.
        with httpx.Client(base_url=url, timeout=TIMEOUT, limits=httpx.Limits(max_keepalive_connections=0)) as client:
            for number in mine:
                try:
                    answers.status[number] = client.post(f"/{number}").status_code
                except httpx.HTTPError:
                    answers.status[number] = 0
                    return
                seen(next(count))

    threads = [threading.Thread(target=ask, args=(numbers[start::CLIENTS],)) for start in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers
