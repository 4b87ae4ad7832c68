"""Read a command line: find the command, then let argparse read the rest with the options of that command alone."""

from __future__ import annotations

import argparse
import os
import re
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from usage_store._version import __version__
from usage_store.cli.grammar.commands import COMMANDS, within
from usage_store.cli.grammar.options import (
    ARGUMENTS,
    COMMON,
    MIGRATION_FILES,
    OPTIONS,
    may_have_no_value,
    takes_a_value,
)
from usage_store.engines.interface.paths_and_urls import redact
from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from usage_store.cli.grammar.commands import Words

_ALWAYS = ("-h", "--help", "--version")
# For commands without these options.
_DEFAULTS = {"directory": None, "table": None, "usage_tables": False, "models": None, "backup": True, "mode": None}
_NO_SETTINGS = {"settings": None, "settings_used": ()}  # until the command has read them
_EXCLUSIVE = (("--quick", "--full"), ("--compact-after-days", "--no-compact"), ("--directory", "--usage-tables"))
_LONGEST = 80  # characters of a word that a message shows


def parse(argv: Sequence[str], *, prog: str, door: Words = ()) -> argparse.Namespace:
    """Read a command line, and raise ConfigurationError for one that cannot be understood.

    `prog` is the name by which the program was called, `door` the words of a command that this name implies. The result
    has the command in `words`. Without a command, the list of commands is printed on stderr. Exits with 0 after --help
    or --version.
    """
    words, rest = _split(argv, prog, door)
    parser = _parser(words, _typed(prog, door, words))
    if not words and not set(rest).intersection(_ALWAYS):
        from usage_store.cli.grammar.help_page import short_page  # noqa: PLC0415  for this case and --help

        sys.stderr.write(f"{short_page(prog)}\n\n")
        raise ConfigurationError(f"no command is given; `{prog} --help` explains them")
    return parser.parse_args(rest)


def _split(argv: Sequence[str], prog: str, door: Words) -> tuple[Words, list[str]]:
    """Separate the words of the command from its options and argument. Options may stand anywhere."""
    words, rest, arguments = door, list[str](), list[str]()
    options: list[str] = []
    coming = list(argv)
    no_more_options = False
    while coming:
        word = coming.pop(0)
        if word == "--" and not no_more_options:
            no_more_options = True
        elif not no_more_options and _is_option(word):
            options.append(word.partition("=")[0])
            rest.append(word)
            if "=" not in word and _value_follows(word, words, coming):
                rest.append(coming.pop(0))
        elif not arguments and (*words, word) in COMMANDS:
            words = (*words, word)
        else:
            arguments.append(word)
    typed = _typed(prog, door, words)
    _check_options(options, words, typed)
    if arguments and not COMMANDS[words].argument:
        raise ConfigurationError(_unknown_command(arguments[0], words, typed))
    taken = [option for option in options if may_have_no_value(option) and option in rest]
    wanted = COMMANDS[words].argument.split()
    missing = "".join(wanted[:1]) if not arguments and not set(options).intersection(_ALWAYS) else ""
    if taken and missing[:1].isalpha():  # an argument in brackets may be missing
        raise ConfigurationError(f"{missing} is missing, or was read as the value of {taken[0]}; write it before that")
    if surplus := arguments[len(wanted) :]:
        raise ConfigurationError(f"{_cut(surplus[0])} is one argument too many for `{typed}`; {_see(typed)}")
    return words, [*rest, *(["--", *arguments] if arguments else [])]


def _value_follows(option: str, words: Words, coming: Sequence[str]) -> bool:
    if not coming or not takes_a_value(option):
        return False
    return not may_have_no_value(option) or not (_is_option(coming[0]) or (*words, coming[0]) in COMMANDS)


def _is_option(word: str) -> bool:
    return word.startswith("-") and word != "-" and not re.fullmatch(r"-[0-9.]+", word)


def _check_options(options: Sequence[str], words: Words, typed: str) -> None:
    allowed = (*_ALWAYS, *COMMON, *COMMANDS[words].options)
    for option in options:
        if option in allowed or (not words and option in OPTIONS):
            continue
        owners = [" ".join(each) for each, command in COMMANDS.items() if option in command.options]
        if owners:
            raise ConfigurationError(f"{option} is an option of {_listed(owners)}, not of `{typed}`; {_see(typed)}")
        raise ConfigurationError(f"{_cut(option)} is not an option of `{typed}`; {_nearest(option, allowed, typed)}")
    for one, other in _EXCLUSIVE:
        if one in options and other in options:
            raise ConfigurationError(f"{one} and {other} exclude each other; give one of them")


def _unknown_command(word: str, words: Words, typed: str) -> str:
    if not within(words):
        return f"{_cut(word)} is one word too many: `{typed}` takes only options; {_see(typed)}"
    found = [each for each in COMMANDS if each and each[-1] == word]
    said = f"{_cut(word)} is not a command of `{typed}`"
    if found:
        return f"{said}; did you mean `{'usage-store' if words else typed} {' '.join(found[0])}`?"
    return f"{said}; {_nearest(word, within(words), typed)}"


def _nearest(word: str, known: Collection[str], typed: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415  only for a mistake

    found = [each for each in known if each.startswith(word)] or get_close_matches(word[:_LONGEST], known, 1, 0.7)
    return f"did you mean {found[0] if found[0].startswith('-') else f'`{found[0]}`'}?" if found else _see(typed)


def _see(typed: str) -> str:
    return f"`{typed} --help` shows what is allowed"


def _listed(owners: Sequence[str]) -> str:
    return " and ".join(f"`{owner}`" for owner in owners)


def _cut(word: str) -> str:
    shown = redact(word)  # a URL may stand where a command should
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."


def _typed(prog: str, door: Words, words: Words) -> str:
    return " ".join((prog, *words[len(door) :]))


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        # With a given width, argparse does not import shutil and the compression modules that shutil needs.
        try:
            columns = os.get_terminal_size().columns
        except OSError:
            columns = 80
        super().__init__(prog, width=min(columns, 100) - 2)


class _Parser(argparse.ArgumentParser):
    """A parser that raises its errors, and loads its help page only to show it."""

    def __init__(self, words: Words, typed: str) -> None:
        super().__init__(prog=typed, formatter_class=_Formatter, allow_abbrev=False, add_help=False)
        self.words = words

    def error(self, message: str) -> NoReturn:
        """Raise ConfigurationError, so that the error is printed like every other error."""
        of_a_value = message.startswith("argument ")
        raise ConfigurationError(message.removeprefix("argument ") if of_a_value else f"{message}; {_see(self.prog)}")

    def format_help(self) -> str:
        """Return the help page, with the parts that argparse cannot write."""
        from usage_store.cli.grammar import help_page  # noqa: PLC0415  most of it is for --help alone

        self.usage = help_page.usage(self.prog, self.words)
        self.description = help_page.description(self.prog, self.words)
        self.epilog = help_page.epilog(self.prog, self.words)
        return super().format_help()


def _parser(words: Words, typed: str) -> _Parser:
    command, parser = COMMANDS[words], _Parser(words, typed)
    parser.set_defaults(words=words, **_DEFAULTS, **_NO_SETTINGS)
    if command.argument:
        names = command.argument.split()
        group = parser.add_argument_group("argument" if len(names) == 1 else "arguments")
        for name in names:
            known: dict[str, Any] = dict(ARGUMENTS[name])
            group.add_argument(known.pop("dest"), **known)
    own = [name for name in command.options if name not in MIGRATION_FILES]
    if own:
        _add(parser.add_argument_group(f"options of {words[-1]}"), own)
    if len(own) < len(command.options):
        _add(parser.add_argument_group("options of migrate and its commands"), MIGRATION_FILES)
    common = parser.add_argument_group("options of every command, before or after its name")
    _add(common, COMMON)
    common.add_argument("-h", "--help", action="help", help="show this page and exit")
    version = f"usage-store {__version__}"
    common.add_argument("--version", action="version", version=version, help="show the version and exit")
    return parser


def _add(group: Any, options: Collection[str]) -> None:
    for name in options:
        group.add_argument(name, **{"default": None, **OPTIONS[name]} if takes_a_value(name) else OPTIONS[name])
