"""The examples of the functions and models print the same on a PostgreSQL server as in a file."""

from __future__ import annotations

import re
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.support.pages import PAGES, Block, blocks_of
from tests.support.postgresql_servers import new_schema
from tests.support.programs import run_python

if TYPE_CHECKING:
    from pathlib import Path

FILE = re.compile(r'(?<=init_database\()"([\w-]+\.db)"|(?<=opened\()"([\w-]+\.db)"')
DIFFERS = re.compile(r"Sqlite|size\.bytes")  # see tests/support/differences.py: sizes of sessions
SCRIPTS = [
    block
    for page in PAGES
    for block in blocks_of(page)
    if block.language == "python" and block.output and FILE.search(block.text) and not DIFFERS.search(block.text)
]

pytestmark = [pytest.mark.slow, pytest.mark.postgresql]


@pytest.mark.parametrize("block", SCRIPTS, ids=lambda block: block.place)
def test_an_example_prints_the_same_on_a_server(block: Block, tmp_path: Path) -> None:
    with ExitStack() as stack:
        urls = {
            name: stack.enter_context(new_schema())
            for name in {each[1] or each[2] for each in FILE.finditer(block.text)}
        }
        text = FILE.sub(lambda found: repr(urls[found[1] or found[2]]), block.text)
        done = run_python("-c", text, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    block.compare(done.stdout, block.output or "")
