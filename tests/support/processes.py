"""Functions that run at once, each in a process of its own."""

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
    """Run each call in a process of its own, let go where they all `meet`; give what they return, or raise."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(calls), spawn, _join, (spawn.Barrier(len(calls)),)) as pool:
        futures = [pool.submit(function, *arguments) for function, *arguments in calls]
        done, others = wait(futures, TIMEOUT, FIRST_EXCEPTION)
        if others:  # one failed, for which they might wait for ever
            for process in pool._processes.values():
                process.kill()
        for future in done:
            future.result()
        assert not others, "they hang"
        return [future.result() for future in futures]


def meet() -> None:
    """Wait in such a process for all the others."""
    _barrier.wait(TIMEOUT)
