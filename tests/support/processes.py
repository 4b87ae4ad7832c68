"""Run functions at the same time, each in its own process."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from typing import TYPE_CHECKING, Any

from tests.support.programs import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from threading import Barrier

_barrier: Barrier


def _join(barrier: Barrier) -> None:
    global _barrier  # noqa: PLW0603  what a worker process inherits
    _barrier = barrier


def at_once(calls: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Run each call in its own process, start them together at `meet`, and give the results; raises their errors."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(calls), spawn, _join, (spawn.Barrier(len(calls)),)) as pool:
        futures = [pool.submit(function, *arguments) for function, *arguments in calls]
        done, others = wait(futures, TIMEOUT, FIRST_EXCEPTION)
        if others:  # one call failed, and the others might wait for it for ever
            for process in pool._processes.values():
                process.kill()
        for future in done:
            future.result()
        assert not others, "they hang"
        return [future.result() for future in futures]


def meet() -> None:
    """Wait in such a process until all the others wait, too."""
    _barrier.wait(TIMEOUT)
