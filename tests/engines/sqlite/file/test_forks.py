from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.support.forking_rounds import ROUNDS
from tests.support.programs import TIMEOUT, environment

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

# Rows said to be stored in each round, and calls that were refused.
PROGRAMS = {
    "daemonise": (12, 0),
    "parent_closes_first": (12, 0),
    "pool": (18, 0),
    "preloading_server": (16, 0),
    "inside_atomic": (8, 1),
    "second_thread_connected": (8, 2),
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_was_said_to_be_stored_is_in_the_file_whatever_forked(tmp_path: Path, program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.forking_rounds", program],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    results = [Counter(result) for result in json.loads(done.stdout)]
    assert len(results) == ROUNDS
    stored, refused = PROGRAMS[program]
    wanted = {"stored": stored, "found": stored, "ForkedConnection": refused, "nothing": 0}
    assert [{name: result[name] for name in wanted} for result in results] == [wanted] * ROUNDS
