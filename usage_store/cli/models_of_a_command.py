"""Import the models that the arguments name, and compare them with the database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import chdir, nullcontext
from typing import TYPE_CHECKING, NamedTuple

from usage_store.cli.open_for_command import blamed, opened, place_of, typed_options
from usage_store.cli.project.other_programs_tables import tables_of_others
from usage_store.errors import SchemaDrift
from usage_store.errors.rejected_input import listed
from usage_store.migrate.adopt_other_runner import HISTORIES
from usage_store.migrate.create_from_models import Generated, generate, generate_as_they_are
from usage_store.migrate.from_models.load_models import Models, check_unchanged, load_models

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection, Iterable, Mapping

    import peewee

    from usage_store.engines.interface.schema_differences import Catalog
    from usage_store.migrate import MigrationRunner


class Imported(NamedTuple):
    """The models that the arguments name, the schema of the database before their import, and notices about them."""

    spec: str
    models: Models
    before: Catalog
    notices: list[str]


Comparison = Callable[["MigrationRunner"], tuple[Sequence[SchemaDrift], Sequence[str], str]]


def comparison(arguments: argparse.Namespace) -> Comparison:
    """Import the models, and return the function that compares them with the database of a runner. It only reads.

    That function returns one error for each difference, notices, and a line about what to do next.
    """
    found = imported(arguments)

    def compare(runner: MigrationRunner) -> tuple[Sequence[SchemaDrift], Sequence[str], str]:
        generated, notices = compared(runner, found)
        if generated.empty:
            return (), notices, f"{found.spec} and the database agree"
        problems = [SchemaDrift(f"models: {line}") for line in generated.differences]
        return problems, notices, _next_step(arguments, pending=runner.status().pending_count)

    return compare


def _next_step(arguments: argparse.Namespace, *, pending: int) -> str:
    options = typed_options(arguments)
    if pending:
        return f"`usage-store migrate{options}` runs the pending migrations, which may make them agree"
    if arguments.directory is None:
        options = f"{options.removesuffix(' --usage-tables')} --directory DIR"
    module = "" if "models" in arguments.settings_used else f" {arguments.models}"
    return f"`usage-store migrate create NAME{options} --from{module}` writes the migration that makes them agree"


def imported(arguments: argparse.Namespace) -> Imported:
    """Import the models. The database is not open meanwhile, and the import may not open it."""
    with opened(arguments, readonly=True, missing="empty", silent=True) as runner:
        before = _schema(runner)
    is_set = "models" in arguments.settings_used
    with chdir(arguments.settings.folder) if is_set else nullcontext(), blamed(arguments, "models"):
        models, notices = load_models(arguments.models).bound_to(place_of(arguments))
        return Imported(arguments.models, models, before, notices)


def compared(
    runner: MigrationRunner, found: Imported, renames: Mapping[str, str] | None = None
) -> tuple[Generated, list[str]]:
    """Return what turns the tables of the database into those of the models, and notices about them. Reads only.

    Raises ConfigurationError if the import of the models changed the database.
    """
    renames = renames or {}
    check_unchanged(found.spec, found.before, _schema(runner))
    models, notices = _in_use(runner, found, renames)
    generated = generate(runner.database, models, renames=renames)
    return generated, [*notices, *_without_model(runner, _tables(models, renames))]


def as_they_are(runner: MigrationRunner, found: Imported, renames: Mapping[str, str]) -> Generated:
    """Generate the migration that makes the tables of the models that the database has, as they are there. Reads only.

    Old names in `renames` are tables of the models too.
    """
    models, _ = _in_use(runner, found, renames)
    return generate_as_they_are(runner.database, _tables(models, renames))


def _in_use(
    runner: MigrationRunner, found: Imported, renames: Mapping[str, str]
) -> tuple[list[type[peewee.Model]], list[str]]:
    schema = _schema(runner)
    models, notices = found.models.in_use({*schema.tables, *schema.others, *map(str.lower, renames.values())})
    return models, [*found.notices, *notices]


def _tables(models: Iterable[type[peewee.Model]], renames: Mapping[str, str]) -> set[str]:
    return {name.lower() for name in (*renames, *(str(model._meta.table_name) for model in models))}


def _schema(runner: MigrationRunner) -> Catalog:
    return runner.records.engine.schema.read_catalog(runner.database)


def _without_model(runner: MigrationRunner, known: Collection[str]) -> list[str]:
    """Return a notice of the tables without a model. Usage tables and histories of migrations are not listed."""
    passed = {*HISTORIES, *known}
    left = [name for name in tables_of_others(runner.database) if name.lower() not in passed]
    return [f"tables without a model, which stay as they are: {listed(left)}"] if left else []
