"""The examples of each page of `docs/` run as printed; those of README.md run in `test_readme_in_a_fresh_clone`."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.pages import PAGES, RUN, SHOWN, Block, Session, blocks_of, with_this_package

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from _pytest.mark import ParameterSet

SERVER = "DATABASE_URL"  # where examples for PostgreSQL find their database
PYTEST = "python -m pytest -q -p no:cacheprovider -p usage_store.pytest_plugin"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")]


@pytest.fixture
def session(tmp_path: Path) -> Callable[[], Session]:
    """Provide shells that begin in empty folders."""
    (tmp_path / "programs").mkdir()
    environment = with_this_package(tmp_path / "programs")

    def start() -> Session:
        folder = tmp_path / f"folder{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        server = {name: os.environ[name] for name in (SERVER,) if name in os.environ}
        return Session(folder, tmp_path, {**environment, **server})

    return start


def run_page(blocks: Sequence[Block], session: Callable[[], Session]) -> None:
    """Run the blocks of a page: each script in an empty folder, the files and commands in one folder of the page."""
    page, waiting = session(), set[Block]()
    for block in blocks:
        if block.language not in RUN | SHOWN:
            block.fail(f"a block is one of {sorted(RUN | SHOWN)}, not {block.language!r}")
        if block.is_test and block.file is None:
            page.write(block, "test_example.py")
            page.run_block(block, block.line, f"{PYTEST} test_example.py")
        elif block.file is not None:
            page.write(block, block.file)
            waiting.add(block)
        elif block.language == "python":
            session().run_script(block)
        elif block.language == "console":
            page.run_console(block)
            waiting.clear()
    for block in waiting:
        block.fail(f"nothing after this block runs {block.file}: show the command that does")


def pages() -> Iterator[ParameterSet]:
    """Name the pages; those with examples for PostgreSQL are marked."""
    for page in sorted(PAGES.keys() - {"README.md"}):
        needs_server = SERVER in PAGES[page].read_text(encoding="utf-8")
        yield pytest.param(page, marks=[pytest.mark.postgresql] if needs_server else [])


@pytest.mark.parametrize("page", list(pages()))
def test_a_page_prints_what_its_examples_print(
    page: str, session: Callable[[], Session], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if request.node.get_closest_marker("postgresql") is not None:
        monkeypatch.setenv(SERVER, request.getfixturevalue("postgresql_url"))
    run_page(blocks_of(page), session)


RIGHT = """
```python
print("two\\nlines")
```

```text
two
lines
```

```python
# package/module.py
NAME = "here"
```

```console
$ python -c 'import package.module; print(package.module.NAME)'
here
$ cd package
$ ls \\
  module.py; usage-store --help >/dev/null; echo "(3.5 ms)"
module.py
(1.2 ms)
```

```toml
# settings/own.toml
name = "here"
```

```console
$ cd settings
$ cat own.toml && echo "$PWD" >&2 && (exit 2)
# settings/own.toml
name = "here"
/home/ada/shop/package/settings
$ echo $?
2
```

```python
def test_it(usage_database):
    assert usage_database.get_tables()
```

```sh
false
```
"""


def test_a_page_that_is_right_passes(session: Callable[[], Session]) -> None:
    run_page(blocks_of("docs/made-up.md", RIGHT), session)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("```python\nprint(1)\n```\n\n```text\n2\n```\n", r":1: prints something else\n(.*\n)*-2\n\+1"),
        ("# Title\n\n```python\nprint(1)\n```\n", r":3: prints something else\n(.*\n)*\+1"),
        ("```python\n1 / 0\n```\n", r":1: exit code 1 of\n(.*\n)*ZeroDivisionError"),
        ("```console\n$ true\n$ echo 1\n2\n```\n", r":3: prints something else\n(.*\n)*-2\n\+1"),
        ("```console\n$ echo 1\n1\n$ cd nowhere\n```\n", r":4: exit code 1 of\n(.*\n)*.*nowhere"),
        ("```python\ndef test_it():\n    assert 2 < 1\n```\n", r":1: exit code 1 of\n(.*\n)*E .*assert 2 < 1"),
        ("```console\n$ (exit 3)\n$ echo $?\n4\n```\n", r":3: prints something else\n(.*\n)*-4\n\+3"),
        ("```console\n$ echo 1 >&2\n2\n$ echo $?\n0\n```\n", r":2: prints something else\n(.*\n)*-2\n\+1"),
        ("```toml\n# a/b.toml\na = 1\n```\n", ":1: nothing after this block runs a/b.toml"),
        ("```shell\ntrue\n```\n", r":1: a block is one of .*'shell'"),
        ("```\ntrue\n```\n", r":1: a block is one of .*''"),
        ("```python\n# a/b.py\n1 / 0\n```\n\n```sh\npython a/b.py\n```\n", ":1: nothing after this block runs a/b.py"),
        ("- One\n\n  ```python\n  1 / 0\n  ```\n", ":3: exit code 1"),
    ],
)
def test_a_page_that_is_wrong_fails_and_names_the_line(wrong: str, why: str, session: Callable[[], Session]) -> None:
    with pytest.raises(pytest.fail.Exception, match=f"^docs/made-up.md{why}"):
        run_page(blocks_of("docs/made-up.md", wrong), session)
