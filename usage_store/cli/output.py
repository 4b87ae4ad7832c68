"""Print the output of the commands. If the output cannot be written, the work and the exit code stay the same."""

from __future__ import annotations

import io
import os
import re
import sys
from contextlib import closing, redirect_stderr, redirect_stdout, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

# C0, DEL and C1; the marks that change the direction of text; Unicode's own line ends.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_CONTROL_IN_BLOCK = re.compile(rf"(?![\n\t]){_CONTROL.pattern}")
_LAST_STANDARD_DESCRIPTOR = 2


class Block(str):
    """Text of several lines, such as SQL. Its line breaks and tabs are printed unchanged."""

    __slots__ = ()


def shown(text: str) -> str:
    """Return a text as one line that is safe to print on a terminal: control characters are escaped as in Python."""
    control = _CONTROL_IN_BLOCK if isinstance(text, Block) else _CONTROL
    return control.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def with_output(main: Callable[[], int]) -> int:
    """Run a command line and return its exit code, also if its output cannot be written.

    If stdout is a file on a full disk, one line on stderr says so. If the reader of a pipe has ended, such as `head`,
    nothing is said.
    """
    _take_standard_descriptors()
    output, errors = _Output(sys.stdout), _Output(sys.stderr)
    with redirect_stderr(errors), closing(errors):
        with redirect_stdout(output), closing(output):  # otherwise Python flushes it at exit, and prints its own error
            try:
                code = main()
            except SystemExit as ended:  # --help, or a usage error
                code = int(ended.code or 0)
        if output.lost is not None and not isinstance(output.lost, BrokenPipeError):
            complain(f"error: the output could not be written: {getattr(output.lost, 'strerror', output.lost)}")
    return code


def complain(line: str) -> None:
    """Print a line on stderr immediately."""
    print(shown(line), file=sys.stderr, flush=True)


def _take_standard_descriptors() -> None:
    # If a shell has closed a standard descriptor, the next opened file gets its number, and a print would write into
    # that file.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _LAST_STANDARD_DESCRIPTOR:
        pass
    os.close(descriptor)


class _Output(io.TextIOBase):
    """A standard stream. After the first error, it writes nothing more, and keeps the error in `lost`."""

    def __init__(self, stream: TextIO | None) -> None:
        self.lost: Exception | None = None
        self._stream = stream  # None if the descriptor was closed: then nothing is written, and that is no error
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # the name of a file may not be valid text

    def write(self, text: str) -> int:
        self._try(lambda stream: stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(lambda stream: stream.flush())

    @property
    def encoding(self) -> str:  # type: ignore[override]  # for programs that read it; `buffer` is in __getattr__
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        return super().fileno() if self._stream is None else self._stream.fileno()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _try(self, act: Callable[[TextIO], object]) -> None:
        if self._stream is None or self.lost is not None:
            return
        try:
            act(self._stream)
        except (OSError, ValueError) as error:  # ValueError: the stream is closed
            self.lost = error
            _forget(self._stream)


def _forget(stream: TextIO) -> None:
    # At exit, Python flushes the rest of the buffer, and would print the same error again.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with suppress(OSError, ValueError):
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
