"""Run one command and print its outcome. Any error is printed as one line and decides the exit code."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import traceback
from contextlib import contextmanager
from json import dumps
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from usage_store.cli.exit_codes import INTERRUPTED, described
from usage_store.cli.output import Block, complain, shown, with_output
from usage_store.engines.interface.paths_and_urls import redact
from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence
    from sys import UnraisableHookArgs
    from types import FrameType


class Outcome(NamedTuple):
    """A command's exit code, its lines for a person, and the same result as data for `--json`."""

    code: int
    lines: Sequence[str]
    data: Any


def run(
    parse: Callable[[], argparse.Namespace], act: Callable[[argparse.Namespace], Outcome], *, json: bool = False
) -> int:
    """Parse the arguments, run the command, print its outcome, and return the exit code.

    An error is printed as one line on stderr. With `json`, an error of `parse` is also a JSON object on stdout.
    """
    return with_output(lambda: _run(parse, act, json=json))


def _run(parse: Callable[[], argparse.Namespace], act: Callable[[argparse.Namespace], Outcome], *, json: bool) -> int:
    try:
        arguments = parse()
    except ConfigurationError as error:
        return _fail(error, verbose=False, json=json)
    with _Stop() as stop:
        try:
            with _logged(verbose=arguments.verbose):
                outcome = act(arguments)
                if stop.exit_code and outcome.code:  # a rehearsal, in which Ctrl-C made a migration fail
                    return stop.exit_code
                _print(outcome, arguments)
        except KeyboardInterrupt:
            return stop.exit_code or INTERRUPTED
        except BaseException as error:  # noqa: BLE001  each error gets one line
            # If Ctrl-C came inside a function that SQLite had called, SQLite raises an error of its own.
            return stop.exit_code or _fail(error, verbose=arguments.verbose, json=arguments.json)
        return outcome.code


class _Stop:
    """Raise KeyboardInterrupt in the block at Ctrl-C and SIGTERM, so that unfinished work is undone and removed."""

    def __init__(self) -> None:
        self.exit_code = 0  # or that of the signal that was received
        self._process = os.getpid()
        self._before: list[tuple[int, Any]] = []

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
                if signal.getsignal(number) == usual:  # not if it is ignored, as in a background job of a shell
                    self._before.append((number, signal.signal(number, self._hear)))
        self._unraisable, sys.unraisablehook = sys.unraisablehook, self._tell_unraisable
        return self

    def __exit__(self, *_: object) -> None:
        sys.unraisablehook = self._unraisable
        for number, handler in self._before:
            signal.signal(number, handler)

    def _hear(self, number: int, _: FrameType | None) -> None:
        if os.getpid() != self._process:  # a process that a migration has forked
            os._exit(128 + number)
        self.exit_code = 128 + number
        raise KeyboardInterrupt

    def _tell_unraisable(self, unraisable: UnraisableHookArgs) -> None:
        # The signal came in code that cannot raise, such as a destructor. The command continues without a message.
        if not isinstance(unraisable.exc_value, KeyboardInterrupt):
            self._unraisable(unraisable)


def _print(outcome: Outcome, arguments: argparse.Namespace) -> None:
    if arguments.json:
        print(dumps(outcome.data, indent=2, default=str))
    else:
        print("\n".join(map(shown, outcome.lines)), end="\n" if outcome.lines else "")


def _fail(error: BaseException, *, verbose: bool, json: bool) -> int:
    described_error = described(error)
    described_error["message"] = "; ".join((described_error["message"], *getattr(error, "__notes__", ())))
    if verbose:
        complain(Block(redact("".join(traceback.format_exception(error)).rstrip())))
    if json:
        applied = [str(step.migration) for step in getattr(error, "applied", ())]
        print(dumps({**described_error, "applied": applied}))
    complain(f"error: {described_error['message']}")
    diff = getattr(error, "diff", "")
    if diff:
        complain(Block(diff))
    return int(described_error["exit_code"])


class _Lines(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        line = redact(super().formatMessage(record))
        return shown(Block(line) if isinstance(record.msg, tuple) else line)  # a statement keeps its line breaks


@contextmanager
def _logged(*, verbose: bool) -> Iterator[None]:
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines("%(message)s"))
    loggers = logging.root, logging.getLogger("peewee")
    levels, filters = [logger.level for logger in loggers], list[Any]()
    if verbose:
        if not loggers[0].handlers:
            loggers[0].addHandler(handler)
            loggers[0].setLevel(logging.INFO)
        loggers[1].setLevel(logging.DEBUG)
        from usage_store.cli.sql_log import cut_parameters  # noqa: PLC0415  for this option only

        loggers[1].addFilter(cut_parameters)
        filters.append(cut_parameters)
    handler.setLevel(logging.DEBUG if verbose else logging.WARNING)
    usual, logging.lastResort = logging.lastResort, handler  # it prints log lines if logging is not configured
    try:
        yield
    finally:
        logging.lastResort = usual
        loggers[0].removeHandler(handler)
        for each in filters:
            loggers[1].removeFilter(each)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
