"""The pages link to each other, and name only existing files and modules."""

from __future__ import annotations

import importlib.util
import re
from typing import TYPE_CHECKING

import pytest

from tests.support.pages import FENCE, PAGES
from tests.support.programs import ROOT
from tests.support.prose import compare, found_in, prose, spans, told_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.quick

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of the headings of a page."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE))
    return {heading.replace(" ", "-") for heading in headings}


def test_the_links_lead_somewhere() -> None:
    wrong = []
    for page, path in PAGES.items():
        for line, link in found_in(prose(page), LINK):
            name, _, anchor = link.partition("#")
            target = path.parent / name if name else path
            if name.startswith(("https://", "http://")):
                continue
            if not target.exists():
                wrong.append(f"{page}:{line}: {link}: there is no such file")
            elif anchor and anchor not in anchors(target):
                wrong.append(f"{page}:{line}: {link}: the headings there are {sorted(anchors(target))}")
    compare(wrong)


def test_the_readme_is_short() -> None:
    assert PAGES["README.md"].stat().st_size <= 8_000


def test_the_readme_leads_to_every_page() -> None:
    linked = {link.partition("#")[0] for _, link in found_in(prose("README.md"), LINK)}
    compare(f"README.md has no link to {page}" for page in PAGES if page not in {*linked, "README.md"})


def test_the_files_that_a_page_names_are_there() -> None:
    ours = re.compile(r"(?:^|(?<=\s))(?:docs|migrations|tests|usage_store)/[\w./-]*")
    compare(
        f"{place}: {name}: there is no such file"
        for place, code in spans()
        for name in ours.findall(code)
        if "NNN" not in name and not (ROOT / name).exists()
    )


def test_the_pages_that_a_message_names_are_there() -> None:
    named = re.compile(r"\b(README|docs)\b(?:/([\w-]+\.md)|: (\w[\w ]*))?")
    compare(
        f"{path.relative_to(ROOT)}: {found[0]}: there is no such page"
        for path in (ROOT / "usage_store").rglob("*.py")
        for found in named.finditer(path.read_text(encoding="utf-8"))
        if found[3] or not (ROOT / found[1] / (found[2] or "") if found[1] == "docs" else PAGES["README.md"]).exists()
    )


def test_the_modules_that_a_page_starts_are_there() -> None:
    compare(
        f"{place}: there is no module {module}"
        for place, code in spans()
        for module in re.findall(r"python3? -m ((?:tests|usage_store)[\w.]*)", code)
        if importlib.util.find_spec(module) is None
    )


WRONG = """\
[One](#no-heading), [two](no-page.md), [three](../README.md#first-example), [four](#a-page)

# A page

`tests/no_test.py`, `python -m tests.no_module`
"""


@pytest.mark.parametrize(
    ("test", "told"),
    [
        (
            test_the_links_lead_somewhere,
            ["1: #no-heading: the headings there are ['a-page']", "1: no-page.md: there is"],
        ),
        (test_the_readme_leads_to_every_page, ["README.md has no link to docs/made-up.md"]),
        (test_the_files_that_a_page_names_are_there, ["5: tests/no_test.py: there is no such file"]),
        (test_the_modules_that_a_page_starts_are_there, ["5: there is no module tests.no_module"]),
    ],
)
def test_a_page_that_is_wrong_is_named_with_its_line(
    test: Callable[[], None], told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = told_of(WRONG, test, tmp_path, monkeypatch)
    assert [line[: len(start)] for line, start in zip(lines, told, strict=True)] == told
