"""The parts of a help page around its options: usage, description, commands, example, exit codes, words."""

from __future__ import annotations

import re
from textwrap import fill
from typing import TYPE_CHECKING

from usage_store.cli.grammar.commands import COMMANDS, within
from usage_store.cli.grammar.options import ARGUMENTS, COMMON, OPTIONS
from usage_store.cli.grammar.page_texts import EXIT_CODES, PAGES, WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from usage_store.cli.grammar.commands import Words

_WIDTH = 78


def usage(typed: str, words: Words) -> str:
    """Return the line that shows the usage of a command."""
    commands = ("COMMAND" if not words else "[COMMAND]") if within(words) else ""
    return " ".join(filter(None, (typed, commands, COMMANDS[words].argument, "[options]")))


def short_page(typed: str) -> str:
    """Return the page for a command line without a command: the list of commands."""
    return "\n".join((f"usage: {usage(typed, ())}", "", *_commands(()), *_more(typed, ())))


def description(typed: str, words: Words) -> str:
    """Return the text that describes a command, with the list of its own commands."""
    listed = ("", *_commands(words), *_more(typed, words)) if within(words) else ()
    return "\n".join((fill(PAGES[words].text, _WIDTH), *listed))


def epilog(typed: str, words: Words) -> str:
    """Return a command's example, its exit codes, and explanations of the special words on its page."""
    page = PAGES[words]
    codes = _table((str(code), EXIT_CODES[code]) for code in page.exit_codes)
    explained = _table((word, WORDS[word]) for word in _words_of_art(words))
    example = ("example:", f"  {typed} {page.example}", "")
    return "\n".join((*example, "exit codes:", *codes, *(("", "words:", *explained) if explained else ())))


def _commands(words: Words) -> Iterator[str]:
    yield "commands:"
    yield from _table(
        (f"{name} {COMMANDS[*words, name].argument}".rstrip(), COMMANDS[*words, name].summary) for name in within(words)
    )


def _more(typed: str, words: Words) -> Iterator[str]:
    yield ""
    yield f"`{typed} COMMAND --help` explains a command."
    if not words:
        yield fill(f"`{typed} migrate` has commands of its own: {', '.join(within(('migrate',)))}.", _WIDTH)


def _table(rows: Iterable[tuple[str, str]]) -> list[str]:
    listed = list(rows)
    width = max((len(name) for name, _ in listed), default=0)
    return [
        fill(text, _WIDTH, initial_indent=f"  {name:{width}}  ", subsequent_indent=" " * (width + 4))
        for name, text in listed
    ]


def _words_of_art(words: Words) -> list[str]:
    """Name the words that a page uses, and those that their explanations use, in the order of the list."""
    command = COMMANDS[words]
    options = [OPTIONS[name]["help"] for name in (*command.options, *COMMON)]
    argument = [ARGUMENTS[name]["help"] for name in command.argument.split()]
    commands = [f"{COMMANDS[*words, name].argument} {COMMANDS[*words, name].summary}" for name in within(words)]
    codes = [EXIT_CODES[code] for code in PAGES[words].exit_codes]
    text = " ".join((PAGES[words].text, *options, *argument, *commands, *codes))
    while more := [word for word in _used(text) if WORDS[word] not in text]:
        text = " ".join((text, *(WORDS[word] for word in more)))
    return _used(text)


def _used(text: str) -> list[str]:
    return [word for word in WORDS if re.search(rf"(?{'' if word.isupper() else 'i'}:\b{word}(s|d|ed|ing)?\b)", text)]
