"""The commands `backup`, `restore` and `rehearse`."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peewee

from usage_store.cli.open_for_command import file_of, is_there, named, opened, say, target_of
from usage_store.cli.progress import Progress
from usage_store.cli.run_command import Outcome
from usage_store.engines import engine_at, name_of, open_database
from usage_store.engines.interface.paths_and_urls import names_an_object
from usage_store.errors import ConfigurationError, MigrationFailed, SchemaDrift, UsageStoreError
from usage_store.migrate import MigrationRunner
from usage_store.migrate import rehearse as rehearsals

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from usage_store.engines.interface.schema_differences import TableRows
    from usage_store.migrate.rehearse import Rehearsal, Rehearsed, Run


def backup(arguments: argparse.Namespace) -> Outcome:
    """Write a backup beside the database file, while holding the migration lock."""
    with opened(arguments, readonly=True) as runner, runner.connected():
        version = runner.current_version()
        path = runner.records.engine.copies.back_up_alone(
            runner.database, version, wait=runner.wait, on_wait=runner.on_wait, on_progress=_copied()
        )
    size = path.stat().st_size
    line = f"backed up version {version} to {path} ({_megabytes(size)})"
    return Outcome(0, [line], {"backup": str(path), "version": version, "bytes": size})


def restore(arguments: argparse.Namespace) -> Outcome:
    """Replace the database by a backup."""
    target = target_of(arguments)
    if names_an_object(arguments.database or ""):
        raise ConfigurationError(f"{target}: restore replaces a file; give its path or URL, not a Python object")
    is_new = not is_there(file_of(arguments))
    kept = engine_at(target).copies.restore(
        target,
        Path(arguments.file),
        version=_version_if_readable(target, arguments),
        wait=arguments.wait,
        mode=arguments.mode,
        on_wait=say,
        on_progress=_copied(),
    )
    if is_new:
        say(f"created {named(arguments)}")
    line = f"restored {arguments.file}" + (f"; what was there is kept as {kept}" if kept else "")
    return Outcome(0, [line], {"restored": arguments.file, "kept": str(kept) if kept else None})


def _version_if_readable(target: str, arguments: argparse.Namespace) -> int:
    try:
        with closing(open_database(target, readonly=True)) as database:
            return MigrationRunner(database, arguments.directory, arguments.table).current_version()
    except (UsageStoreError, peewee.PeeweeException):
        return 0  # people restore a backup because the database cannot be read


def _copied() -> Callable[[int, int], None]:
    return partial(Progress(), "pages copied")


def rehearse(arguments: argparse.Namespace) -> Outcome:
    """Rehearse the pending migrations.

    The exit code is 7 if one fails, 4 if a `down` does not restore everything, and 1 if one cannot be rehearsed.
    """
    with opened(arguments, readonly=True) as runner, ExitStack() as stack:
        copy = None
        if arguments.copy is not None:
            copy = open_database(arguments.copy, missing="refuse", timeout=arguments.wait)
            stack.enter_context(closing(copy))
        rehearsal = rehearsals.rehearse(runner, arguments.target, copy=copy, on_progress=_copied())
        where = name_of(runner.database if copy is None else copy)
    return Outcome(_code(rehearsal), list(_lines(rehearsal, where)), _data(rehearsal))


def _code(rehearsal: Rehearsal) -> int:
    if rehearsal.failures:
        return MigrationFailed.exit_code
    if not rehearsal.ok:
        return SchemaDrift.exit_code
    return 1 if rehearsal.left_out else 0


def _data(rehearsal: Rehearsal) -> dict[str, Any]:
    migrations = []
    for each in rehearsal.migrations:
        down = asdict(each.down) if each.down else None
        named = {"version": each.migration.version, "name": each.migration.name}
        result = {"restored": each.restored, "differences": list(each.differences)}
        migrations.append({**named, "up": asdict(each.up), "down": down, **result})
    whole = {"ok": rehearsal.ok, "database_bytes": rehearsal.database_bytes, "notice": rehearsal.notice}
    left_out = [each.version for each in rehearsal.left_out]
    return {**whole, "place": rehearsal.place, "migrations": migrations, "left_out": left_out}


def _lines(rehearsal: Rehearsal, where: str) -> Iterator[str]:
    size = _megabytes(rehearsal.database_bytes)
    if rehearsal.migrations:
        yield {
            "copy": f"rehearsed on a copy of {size}; the database was only read",
            "transaction": f"rehearsed inside {where} ({size}), in a transaction that was rolled back",
            "given": f"rehearsed on {where} ({size}), where this was committed; the database itself was only read",
        }[rehearsal.place]
    elif rehearsal.notice is None:
        yield "nothing to rehearse: nothing is pending"
    for each in rehearsal.migrations:
        yield from _rehearsed(each)
    if rehearsal.notice:
        yield f"notice: {rehearsal.notice}"


def _rehearsed(each: Rehearsed) -> Iterator[str]:
    yield str(each.migration)
    yield f"  up    {_figures(each.up)}"
    yield from (f"        {_rows(rows)}" for rows in each.up.tables)
    yield from _rewritten(each.up)
    if each.down is not None:
        yield f"  down  {_figures(each.down)}"
        yield from _rewritten(each.down)
    elif each.up.failure is None:
        yield "  down  not run"
    if each.restored:
        yield "        schema and rows are as before"
    yield from (f"        not restored: {line}" for line in each.differences)


def _rewritten(run: Run) -> Iterator[str]:
    for each in run.rewritten:
        what = f"{each.rows} rows, {_megabytes(each.bytes)}"
        yield f"        {each.table}: the whole table is written anew ({what}), and nobody can read it meanwhile"


def _figures(run: Run) -> str:
    cost = f"{run.seconds * 1000:.1f} ms"
    if run.failure is None or run.bytes_written:
        cost += f", {_megabytes(run.bytes_written)} written"
    if run.failure is not None:
        return f"{cost}; failed: {' '.join(run.failure.split())}"
    return f"{cost}, {_megabytes(run.disk_needed)} of disk needed"


def _rows(rows: TableRows) -> str:
    if rows.before is None:
        return f"{rows.table}: new, {rows.after} rows"
    if rows.after is None:
        return f"{rows.table}: gone, had {rows.before} rows"
    if rows.before == rows.after:
        return f"{rows.table}: {rows.after} rows, changed"
    return f"{rows.table}: {rows.after} rows, had {rows.before}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.2f} MB"
