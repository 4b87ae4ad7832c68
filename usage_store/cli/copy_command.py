"""The command `copy`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from usage_store.cli.open_for_command import database_of
from usage_store.cli.progress import Progress
from usage_store.cli.run_command import Outcome
from usage_store.copy_store import Copied, copy_store
from usage_store.errors import ConfigurationError, SchemaDrift

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MOST = 20  # lines of a kind that are printed; --json has all


def copy(arguments: Namespace) -> Outcome:
    """Copy a store to another database. The exit code is 4 if a row does not fit, or the two differ at the end."""
    if arguments.database is not None and "database" not in arguments.settings_used:
        raise ConfigurationError("`copy` takes SOURCE and TARGET, not --database")
    source, target = (_naming(arguments, name) for name in (arguments.source, arguments.target))
    reads = arguments.resume or arguments.verify
    with (
        database_of(source, readonly=True, missing="refuse") as one,
        database_of(
            target, readonly=arguments.verify, missing="refuse" if reads else "create", mode=arguments.mode
        ) as other,
    ):
        done = copy_store(
            one,
            other,
            resume=arguments.resume,
            verify=arguments.verify,
            wait=arguments.wait,
            on_progress=Progress(),
        )
    return Outcome(0 if done.ok else SchemaDrift.exit_code, list(_lines(done, arguments)), _data(done))


def _naming(arguments: Namespace, name: str) -> Namespace:
    """Return the arguments of a command on one of the two databases."""
    return Namespace(**{**vars(arguments), "database": name, "settings_used": ()})


def _lines(done: Copied, arguments: Namespace) -> Iterator[str]:
    if done.refused:
        yield f"nothing was copied: the target cannot hold {len(done.refused):,} rows"
        yield from _first(done.refused)
        return
    if not arguments.verify:
        rate = done.copied / done.seconds if done.seconds else 0
        yield f"copied {done.copied:,} snapshots in {done.seconds:.1f} s, {rate:,.0f} a second"
    yield from _first([f"{each.hash}  {each.snapshots:,} snapshots of {each.session_id}" for each in done.sessions])
    counts = f"{done.snapshots:,} snapshots of {len(done.sessions):,} sessions, {done.configurations} configurations"
    if done.differences:
        yield f"different: {counts} in the source"
        yield from _first(done.differences)
        yield "if others wrote to the source meanwhile, `copy --resume` brings the rest"
    else:
        yield f"the same on both sides: {counts}"


def _first(lines: Sequence[str]) -> Iterator[str]:
    yield from (f"  {line}" for line in lines[:_MOST])
    if len(lines) > _MOST:
        yield f"  and {len(lines) - _MOST:,} more; --json lists all"


def _data(done: Copied) -> dict[str, Any]:
    sessions = [each._asdict() for each in done.sessions]
    counts = {"configurations": done.configurations, "snapshots": done.snapshots, "copied": done.copied}
    lines = {"refused": list(done.refused), "differences": list(done.differences)}
    return {"ok": done.ok, **counts, "sessions": sessions, **lines, "seconds": done.seconds}
