"""Tell whether a database is what its migrations say it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from usage_store.engines.interface.compare_databases import Catalog, differences
from usage_store.engines.sqlite.copies.copy_schema_only import empty_copy
from usage_store.engines.sqlite.file.integrity_checks import violations
from usage_store.engines.sqlite.schema.read_whole_schema import read_catalog
from usage_store.errors import (
    CorruptDatabase,
    ForeignKeyViolations,
    HistoryError,
    MigrationError,
    MigrationFailed,
    SchemaDrift,
)
from usage_store.migrate.files import find_files, load_file
from usage_store.migrate.files.load_file import Loaded
from usage_store.migrate.planned_sql import run
from usage_store.migrate.record.edited_files import find_edits
from usage_store.migrate.record.which_to_run import find_problems, is_named_alike, with_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import peewee

    from usage_store.migrate.files.migration import Migration
    from usage_store.migrate.record.history_table import History
    from usage_store.migrate.record.log_table import Log
    from usage_store.migrate.runner import MigrationRunner


_MAX_DAMAGE_LINES = 10


@dataclass(frozen=True, slots=True)
class Report:
    """What is wrong (`problems`, each an error with one line) and what is worth knowing (`notices`)."""

    problems: tuple[MigrationError, ...]
    notices: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def validate(runner: MigrationRunner, *, full: bool) -> Report:
    """Check integrity, foreign keys, history, schema, and last what the runner's own checks look at. Reads only.

    A corrupt file is reported as such and not looked at further. The schema is compared with what the applied
    migrations make when they run on empty tables in memory.
    """
    database, files = runner.database, find_files.discover(runner.directory)
    damage = _damage(database, full=full)
    if damage:
        return Report(damage, ())
    try:
        applied = with_paths(runner.history.applied(files), files)
    except HistoryError as error:
        return Report((error,), ())
    problems: list[MigrationError] = [
        ForeignKeyViolations(f"{line} ({count}); PRAGMA foreign_key_check lists them")
        for line, count in violations(database).items()
    ]
    edited, layout = find_edits(runner.log, applied)
    problems += find_problems(files, applied)
    problems += edited
    said = [*runner.history.notices(), *layout, *notices(database, applied)]
    drifted, notes = drift(database, runner.history, runner.log, applied)
    problems += drifted
    said += notes
    if applied:
        found = [each for check in runner.checks for each in check(database, full=full)]
        problems += [each for each in found if not isinstance(each, str)]
        said += [each for each in found if isinstance(each, str)]
    pending = len({file.version for file in files} - {row.version for row in applied})
    if pending:
        said.append(f"{pending} pending")
    return Report(tuple(problems), tuple(said))


def drift(
    database: peewee.SqliteDatabase, history: History, log: Log, applied: Sequence[Migration]
) -> tuple[list[SchemaDrift], list[str]]:
    """Compare the schema with what the applied migrations make on empty tables: differences, and notices. Reads only.

    Nothing is compared while a file is gone, or where a migration cannot run on empty tables.
    """
    if not all(row.path for row in applied):
        return [], []
    expected, failure = _expected(database, {history.table_name, log.table_name}, applied)
    if failure:
        return [], [f"the schema was not compared: {failure}"]
    live = read_catalog(database)
    optional = _named(applied, "optional")
    if not optional & live.others.keys():
        expected = Catalog(expected.tables, {k: v for k, v in expected.others.items() if k not in optional})
    lines = differences(expected, live)
    if not lines or not log.exists():
        return [SchemaDrift(line) for line in lines], []
    cause = (
        "the schema is as the last migration left it: a migration is not what it was, or depends on rows"
        if log.is_current()
        else "the schema was changed by hand since the last migration"
    )
    return [SchemaDrift(line) for line in lines], [cause]


def _expected(
    database: peewee.SqliteDatabase, own: set[str], applied: Sequence[Migration]
) -> tuple[Catalog, str | None]:
    # Run twice: on nothing, which tells the migrations' own tables from the host's, then beside the host's.
    alone, failure = _replay(database, lambda _kind, _name: False, applied)
    own = {*alone.tables, *(table.lower() for table in own)}
    if read_catalog(database).tables.keys() <= own:
        return alone, failure
    return _replay(database, lambda kind, name: kind == "table" and name.lower() not in own, applied)


def _replay(
    database: peewee.SqliteDatabase, host: Callable[[str, str], bool], applied: Sequence[Migration]
) -> tuple[Catalog, str | None]:
    scratch = empty_copy(database, host)
    before = read_catalog(scratch)
    failure = None
    try:
        for migration in applied:
            source = migration.read()
            try:
                run(scratch, Loaded(migration, load_file.load(migration, "up", source), source), "up")
            except MigrationFailed as error:
                failure = failure or f"on empty tables, {error}"
        return read_catalog(scratch).changed_since(before), failure
    finally:
        scratch.close()


def notices(database: peewee.SqliteDatabase, applied: Sequence[Migration]) -> tuple[str, ...]:
    """Ask the applied migrations that define `notices(db)` what a person should know. Reads only."""
    return tuple(_notices(database, applied))


def _named(applied: Sequence[Migration], attribute: str) -> set[Any]:
    """Give what the modules that have such an attribute list in it: names, or versions."""
    found = [row for row in applied if row.path is not None and f"\n{attribute} = ".encode() in row.path.read_bytes()]
    return {each for row in found for each in getattr(load_file.load(row, "up"), attribute)}


def _notices(database: peewee.SqliteDatabase, applied: Sequence[Migration]) -> Iterator[str]:
    spoken_for = _named(applied, "speaks_for")
    for migration in applied:
        if migration.version in spoken_for or not is_named_alike(migration):
            continue
        # Read before it is loaded: a long history is looked at often and has few of these.
        if migration.path is not None and b"def notices(" in migration.path.read_bytes():
            yield from load_file.load(migration, "up").notices(database)


def _damage(database: peewee.SqliteDatabase, *, full: bool) -> tuple[MigrationError, ...]:
    pragma = "integrity_check" if full else "quick_check"
    rows = database.execute_sql(f"PRAGMA {pragma}({_MAX_DAMAGE_LINES})").fetchall()
    return tuple(CorruptDatabase(f"the database is corrupt: {row[0]}") for row in rows if row[0] != "ok")
