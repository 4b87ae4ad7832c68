"""Show what a command prints on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from tests.support.programs import TIMEOUT, Ended, environment, running

if TYPE_CHECKING:
    from pathlib import Path


def on_terminal(*words: str, cwd: Path, until: str = "\0") -> Ended:
    """Run Python with a terminal as its stderr, and close its stdin when it has printed something."""
    ours, theirs = pty.openpty()
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, *words], cwd=cwd, env=environment(), stdin=pipe, stdout=pipe, stderr=theirs, text=True
    )
    os.close(theirs)
    hangs = threading.Timer(TIMEOUT, process.kill)
    hangs.start()
    shown = b""
    with running(process):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            while part := os.read(ours, 1000):
                shown += part
                if until.encode() in shown:
                    process.stdin.close()
        except OSError:
            pass  # the other end is closed
        out = process.stdout.read()
        code = process.wait(TIMEOUT)
        hangs.cancel()
        os.close(ours)
    return Ended(code, out, shown.decode())
