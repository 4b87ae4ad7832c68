"""The command `create`. It writes an empty migration, or a migration from Peewee models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from usage_store.cli.models_of_a_command import as_they_are, compared, imported
from usage_store.cli.open_for_command import opened, say, typed_options
from usage_store.cli.run_command import Outcome
from usage_store.errors import ConfigurationError
from usage_store.migrate.create_from_models import Generated, write
from usage_store.migrate.files import find_files, new_file
from usage_store.migrate.files.migrations_folder import usage_tables

if TYPE_CHECKING:
    import argparse


def create(arguments: argparse.Namespace) -> Outcome:
    """Write an empty migration, or one from models."""
    if arguments.directory is None:
        raise ConfigurationError(
            "create needs --directory, the folder of your own migrations, such as --directory myapp/migrations; or "
            'write directory = "myapp/migrations" into [tool.usage_store] of your pyproject.toml'
        )
    _refuse_ours(arguments.directory)
    if arguments.models is not None:
        return _create_from_models(arguments)
    if arguments.rename:
        raise ConfigurationError("--rename needs --from, the models that have the new names")
    path = new_file.create(arguments.directory, arguments.name)
    return Outcome(0, [str(path)], {"written": True, "path": str(path)})


def _refuse_ours(directory: str) -> None:
    """Raise ConfigurationError for a folder of the usage tables' own migrations, installed or in any clone."""
    first = find_files.numbered(usage_tables().directory, "")[0]
    try:
        is_ours = Path(directory, first.file_name).read_bytes() == first.read()
    except OSError:
        return
    if is_ours:
        raise ConfigurationError(
            f"{directory}: this folder has the usage tables' own migrations, and its next numbers belong to "
            "usage_store; choose another folder, such as --directory app_migrations"
        )


def _create_from_models(arguments: argparse.Namespace) -> Outcome:
    found, renames = imported(arguments), _renames(arguments)
    with opened(arguments, readonly=True, missing="empty") as runner:
        written = Path(arguments.directory).is_dir() and find_files.numbered(arguments.directory, "")
        if written and runner.status().pending_count:
            raise ConfigurationError("a migration is pending; migrate first, or its changes would be written again")
        generated, notices = compared(runner, found, renames)
        first = None if written else as_they_are(runner, found, renames)
    if first is None or not first.source:
        return _written(arguments, generated, notices)
    return _written(arguments, first, [_stamp_it(arguments, generated), *notices])


def _stamp_it(arguments: argparse.Namespace, generated: Generated) -> str:
    """Say what to do with the first migration of tables that exist already."""
    count = len(generated.differences)
    rest = (
        "" if generated.empty else f"; the models differ in {count}: after that, `create` again writes the difference"
    )
    return (
        "the database has these tables already, and this first migration makes them as they are there; "
        f"`usage-store migrate stamp 1{typed_options(arguments)}` records it as applied{rest}"
    )


def _renames(arguments: argparse.Namespace) -> dict[str, str]:
    renames: dict[str, str] = {}
    for old, new in arguments.rename:
        if renames.setdefault(old, new) != new:
            raise ConfigurationError(f"--rename: {old} cannot get two names, {renames[old]} and {new}")
    return renames


def _written(arguments: argparse.Namespace, generated: Generated, notices: list[str]) -> Outcome:
    data = {"written": False, "path": None, "todo": list(generated.todo), "notices": notices}
    path = write(Path(arguments.directory), arguments.name, generated) if generated.source else None
    for line in (*(f"TODO: {line}" for line in generated.todo), *(f"notice: {line}" for line in notices)):
        say(line)
    if path is not None:
        return Outcome(0, [str(path)], {**data, "written": True, "path": str(path)})
    if generated.empty:
        return Outcome(0, ["nothing to do: the database has the tables of the models"], data)
    say("error: nothing was written, as only a person can do what is to be done")
    return Outcome(ConfigurationError.exit_code, [], data)
