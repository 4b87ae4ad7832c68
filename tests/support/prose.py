"""The prose of README.md and of the pages of `docs/`: what stands there in backticks, and what is wrong with it."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.pages import FENCE, PAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

_SPAN = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")


def prose(page: str) -> str:
    """The text of a page with empty lines in the place of its blocks, so that line numbers stay."""
    text = PAGES[page].read_text(encoding="utf-8")
    return FENCE.sub(lambda block: "\n" * block[0].count("\n"), text)


def found_in(text: str, pattern: re.Pattern[str]) -> Iterator[tuple[int, str]]:
    """The line and the first group of each match."""
    for found in pattern.finditer(text):
        yield text.count("\n", 0, found.start()) + 1, " ".join(found[1].split())


def spans() -> Iterator[tuple[str, str]]:
    """Where a piece of code stands in the prose, and the code."""
    for page in PAGES:
        yield from ((f"{page}:{line}", code) for line, code in found_in(prose(page), _SPAN))


def compare(wrong: Iterable[str]) -> None:
    """Fail with every line, if there is one."""
    told = sorted(wrong)
    if told:
        pytest.fail("\n".join(told), pytrace=False)


def told_of(page: str, test: Callable[[], None], folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """List what a test says of one more page, without the name of that page."""
    path = folder / "docs" / "made-up.md"
    path.parent.mkdir()
    path.write_text(page, encoding="utf-8")
    shutil.copy(PAGES["README.md"], folder)
    monkeypatch.setitem(PAGES, "docs/made-up.md", path)
    with pytest.raises(pytest.fail.Exception) as caught:
        test()
    return [line.removeprefix("docs/made-up.md:") for line in str(caught.value).splitlines() if "made-up" in line]
