"""What the command lines print: where it cannot be written, the work and its exit code stay as they are."""

from __future__ import annotations

import io
import os
import sys
from contextlib import closing, redirect_stdout
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO


def with_output(main: Callable[[], int]) -> int:
    """Run a command line and give its exit code, whatever becomes of what it prints.

    A full disk behind stdout is one line on stderr; a reader that went away, such as `head`, is none.
    """
    output = _Output(sys.stdout)
    with redirect_stdout(output), closing(output):  # or Python flushes it when nothing may be left to write to
        try:
            code = main()
        except SystemExit as ended:  # --help, or a usage error
            code = int(ended.code or 0)
    if output.lost is not None and not isinstance(output.lost, BrokenPipeError):
        complain(f"error: the output could not be written: {output.lost.strerror}")
    return code


def complain(line: str) -> None:
    """Say a line on stderr, if that is there and can be written."""
    if sys.stderr is not None:
        try:
            print(line, file=sys.stderr, flush=True)
        except OSError:
            _forget(sys.stderr)


def _forget(stream: TextIO) -> None:
    # Python flushes what is still in the buffer when it ends, and would tell of the same error again.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


class _Output(io.TextIOBase):
    """Standard output up to the first error, which is kept, and nothing after it."""

    def __init__(self, stream: TextIO | None) -> None:
        self.lost: OSError | None = None
        self._stream = stream  # None where the descriptor was closed: then nothing is to be told
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file's name may be no text

    def write(self, text: str) -> int:
        if self._stream is not None and self.lost is None:
            try:
                self._stream.write(text)
            except OSError as error:
                self.lost = error
                _forget(self._stream)
        return len(text)

    def flush(self) -> None:
        if self._stream is not None and self.lost is None:
            try:
                self._stream.flush()
            except OSError as error:
                self.lost = error
                _forget(self._stream)

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()
