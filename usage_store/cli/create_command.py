"""The command `create`. It writes an empty migration, or a migration from Peewee models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from usage_store.cli.open_for_command import opened, say
from usage_store.cli.run_command import Outcome
from usage_store.errors import ConfigurationError
from usage_store.migrate.create_from_models import Generated, generate, write
from usage_store.migrate.files import find_files, new_file
from usage_store.migrate.files.migrations_folder import usage_tables
from usage_store.migrate.from_models.load_models import check_unchanged, load_models
from usage_store.migrate.record.find_log import is_history, is_log

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection

    from usage_store.engines.interface.schema_differences import Catalog
    from usage_store.migrate import MigrationRunner

_MOST_NAMES = 20
_USAGE_TABLES = {"usage_config", "usage_sessions", "usage_snapshots", "usage_snapshot_blocks", "usage_store_state"}


def create(arguments: argparse.Namespace) -> Outcome:
    """Write an empty migration, or one from models."""
    if arguments.directory is None:
        raise ConfigurationError(
            "create needs --directory, the folder of your own migrations, such as --directory myapp/migrations"
        )
    _refuse_ours(arguments.directory)
    if arguments.models is not None:
        return _create_from_models(arguments)
    if arguments.rename:
        raise ConfigurationError("--rename needs --from, the models that have the new names")
    path = new_file.create(arguments.directory, arguments.name)
    return Outcome(0, [str(path)], {"path": str(path)})


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
    with opened(arguments, readonly=True, missing="empty", silent=True) as runner:
        before = _schema(runner)
    found = load_models(arguments.models)
    with opened(arguments, readonly=True, missing="empty") as runner:
        schema, renames = _schema(runner), _renames(arguments)
        check_unchanged(arguments.models, before, schema)
        written = Path(arguments.directory).is_dir() and find_files.numbered(arguments.directory, "")
        if written and runner.status().pending_count:
            raise ConfigurationError("a migration is pending; migrate first, or its changes would be written again")
        models, notices = found.in_use({*schema.tables, *schema.others, *map(str.lower, renames.values())})
        generated = generate(runner.database, models, renames=renames)
        if generated.empty and found.statements:
            ran = " ".join(found.statements[0].split())[:60]
            notices.append(f"importing {arguments.models} runs {ran} ...: what it makes here is in no migration")
        notices += _without_model(runner, {*renames, *(str(model._meta.table_name) for model in models)})
    return _written(arguments, generated, notices)


def _renames(arguments: argparse.Namespace) -> dict[str, str]:
    renames: dict[str, str] = {}
    for old, new in arguments.rename:
        if renames.setdefault(old, new) != new:
            raise ConfigurationError(f"--rename: {old} cannot get two names, {renames[old]} and {new}")
    return renames


def _schema(runner: MigrationRunner) -> Catalog:
    return runner.records.engine.schema.read_catalog(runner.database)


def _without_model(runner: MigrationRunner, known: Collection[str]) -> list[str]:
    """Return a notice of the tables without a model. Usage tables and histories of migrations are not listed."""
    passed = {*_USAGE_TABLES, *map(str.lower, known)}
    tables = [name for name in runner.records.engine.own_tables(runner.database) if name.lower() not in passed]
    left = [name for name in tables if not (is_history(runner.database, name) or is_log(runner.database, name))]
    names = ", ".join(left[:_MOST_NAMES]) + (f" and {len(left) - _MOST_NAMES} more" if left[_MOST_NAMES:] else "")
    return [f"tables without a model, which stay as they are: {names}"] if left else []


def _written(arguments: argparse.Namespace, generated: Generated, notices: list[str]) -> Outcome:
    data = {"path": None, "todo": list(generated.todo), "notices": notices}
    path = write(Path(arguments.directory), arguments.name, generated) if generated.source else None
    for line in (*(f"TODO: {line}" for line in generated.todo), *(f"notice: {line}" for line in notices)):
        say(line)
    if path is not None:
        return Outcome(0, [str(path)], {**data, "path": str(path)})
    if generated.empty:
        return Outcome(0, ["nothing to do: the database has the tables of the models"], data)
    say("error: nothing was written, as only a person can do what is to be done")
    return Outcome(ConfigurationError.exit_code, [], data)
