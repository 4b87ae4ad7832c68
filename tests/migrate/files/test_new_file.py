"""The file of a new migration: its number, and that it is never written partially."""

from __future__ import annotations

import errno
import itertools
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.disks import forked_with_small_files
from tests.support.migrations import table, write
from tests.support.programs import READY, forked, together
from usage_store.errors import ConfigurationError
from usage_store.migrate.files import find_files, new_file

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType


@pytest.mark.quick
@pytest.mark.parametrize(
    ("files", "name"),
    [
        ([], "001_y.py"),
        (["001_x"], "002_y.py"),
        (["0001_x"], "0002_y.py"),
        (["1_w", "2_x"], "3_y.py"),
        (["9_x"], "10_y.py"),
        (["099_w", "0100_x"], "0101_y.py"),
        (["0001_w", "2_x"], "3_y.py"),
        (["999_x"], "1000_y.py"),
    ],
)
def test_a_number_has_as_many_digits_as_the_newest_one(tmp_path: Path, files: list[str], name: str) -> None:
    write(tmp_path, {file: table("t") for file in files})
    assert new_file.create(tmp_path, "y").name == name


def test_a_disk_that_is_full_leaves_no_file_and_is_named(tmp_path: Path) -> None:
    def create() -> None:
        with pytest.raises(OSError, match=r"004_large\.py") as caught:
            new_file.create(tmp_path, "large", "#" * 2**21)
        assert caught.value.errno == errno.EFBIG

    write(tmp_path, {"003_x": table("t")})
    assert forked_with_small_files(create, 2**20) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["003_x.py"]


def test_killed_at_any_line_it_leaves_a_whole_migration_or_none(tmp_path: Path) -> None:
    whole = new_file.create(tmp_path / "whole", "x").read_text()
    for line in itertools.count():
        directory = tmp_path / str(line)
        code = forked(partial(create_killed_at, line, directory))
        left = find_files.numbered(directory, "") if directory.exists() else ()
        assert [migration.read().decode() for migration in left] in ([], [whole])
        assert new_file.create(directory, "y").name == ("002_y.py" if left else "001_y.py")
        if code != -signal.SIGKILL:
            break
    assert (code, line > 10) == (0, True)


def create_killed_at(line: int, directory: Path) -> None:
    """Create a file in this process, which is killed at the line with this number."""
    lines = itertools.count()

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename != new_file.__file__:
            return None
        if event == "line" and next(lines) == line:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    new_file.create(directory, "x")


def test_files_that_are_made_at_once_get_numbers_of_their_own(tmp_path: Path) -> None:
    code = "import sys\nfrom usage_store.migrate.files import new_file\n"
    code += "import os\n" + READY + "for n in range(40): new_file.create(sys.argv[1], f'{os.getpid()} {n}')"
    directory = tmp_path / "m"
    assert [ended.err for ended in together(4, code, directory, cwd=tmp_path)] == [""] * 4
    assert [migration.version for migration in find_files.numbered(directory, "")] == list(range(1, 161))


def test_a_title_that_is_no_text_is_escaped(tmp_path: Path) -> None:
    path = new_file.create(tmp_path, 'Gr\udcf6ße \\ "q"')
    assert path.read_text().startswith('"""Gr\\udcf6ße \\\\ \\"q\\"."""\n')
    compile(path.read_text(), path, "exec")


def test_a_title_without_letters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"'!': the name of a migration needs letters or digits"):
        new_file.create(tmp_path, "!")
