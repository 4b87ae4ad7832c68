"""What the command lines print: where it cannot be written, the work and its exit code stay as they are."""

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

# C0, DEL and C1; what turns the direction of a line; Unicode's own ends of lines.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_CONTROL_IN_BLOCK = re.compile(rf"(?![\n\t]){_CONTROL.pattern}")
_LAST_STANDARD_DESCRIPTOR = 2


class Block(str):
    """Text of several lines, such as SQL: its line breaks and tabs are shown as they are."""

    __slots__ = ()


def shown(text: str) -> str:
    """Return a text as one line that is safe to print on a terminal: control characters are escaped as in Python."""
    control = _CONTROL_IN_BLOCK if isinstance(text, Block) else _CONTROL
    return control.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def with_output(main: Callable[[], int]) -> int:
    """Run a command line and give its exit code, whatever becomes of what it prints.

    A full disk behind stdout is one line on stderr; a reader that went away, such as `head`, is none.
    """
    _take_standard_descriptors()
    output, errors = _Output(sys.stdout), _Output(sys.stderr)
    with redirect_stderr(errors), closing(errors):
        with redirect_stdout(output), closing(output):  # or Python flushes it when nothing may be left to write to
            try:
                code = main()
            except SystemExit as ended:  # --help, or a usage error
                code = int(ended.code or 0)
        if output.lost is not None and not isinstance(output.lost, BrokenPipeError):
            complain(f"error: the output could not be written: {getattr(output.lost, 'strerror', output.lost)}")
    return code


def complain(line: str) -> None:
    """Say a line on stderr, at once."""
    print(shown(line), file=sys.stderr, flush=True)


def _take_standard_descriptors() -> None:
    # Where a shell has closed them, the next file that is opened would be what a program below prints into.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _LAST_STANDARD_DESCRIPTOR:
        pass
    os.close(descriptor)


class _Output(io.TextIOBase):
    """A standard stream up to the first error, which is kept, and nothing after it."""

    def __init__(self, stream: TextIO | None) -> None:
        self.lost: Exception | None = None
        self._stream = stream  # None where the descriptor was closed: then nothing is to be told
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file's name may be no text

    def write(self, text: str) -> int:
        self._try(lambda stream: stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(lambda stream: stream.flush())

    @property
    def encoding(self) -> str:  # type: ignore[override]  # which a program may look at, as it may at `buffer`
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
        except (OSError, ValueError) as error:  # ValueError: it was closed by somebody
            self.lost = error
            _forget(self._stream)


def _forget(stream: TextIO) -> None:
    # Python flushes what is still in the buffer when it ends, and would tell of the same error again.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with suppress(OSError, ValueError):
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
