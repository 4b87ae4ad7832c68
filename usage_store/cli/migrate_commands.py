"""The commands of `migrate`. Each calls the runner, and returns the result as lines and as data."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from usage_store.cli.exit_codes import one_line
from usage_store.cli.open_for_command import named, opened, place_of
from usage_store.cli.output import Block, shown
from usage_store.cli.progress import ticking
from usage_store.cli.run_command import Outcome

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from usage_store.cli.models_of_a_command import Comparison
    from usage_store.errors import UsageStoreError
    from usage_store.migrate import Migration, Step

_PENDING = 1
_VALIDATING = "checking integrity, foreign keys and schema"
_MILLISECONDS = 10**11  # an applied_at from here up was written in milliseconds by another program


def migrate(arguments: argparse.Namespace) -> Outcome:
    """Run the pending migrations."""
    with opened(arguments) as runner:
        steps = runner.migrate(on_step=_reporter(arguments))
        version = runner.current_version()
    lines = [] if steps else [f"nothing to migrate: at version {version}"]
    return Outcome(0, lines, {"version": version, "steps": [_step(step) for step in steps]})


def rollback(arguments: argparse.Namespace) -> Outcome:
    """Undo the newest migration, or all above a version. A missing database is an error, and is not created."""
    with opened(arguments, missing="refuse") as runner:
        steps = runner.rollback(arguments.target, stored_source=arguments.stored_source, on_step=_reporter(arguments))
        version = runner.current_version()
    lines = [] if steps else [f"nothing to roll back: at version {version}"]
    return Outcome(0, lines, {"version": version, "steps": [_step(step) for step in steps]})


def _reporter(arguments: argparse.Namespace) -> Callable[[Step], None]:
    def report(step: Step) -> None:
        verb = "applied" if step.direction == "up" else "rolled back"
        print(shown(f"{verb} {step.migration} ({step.seconds * 1000:.1f} ms)"), flush=True)

    return (lambda _: None) if arguments.json else report


def _step(step: Step) -> dict[str, Any]:
    return {**_migration(step.migration), "direction": step.direction, "seconds": round(step.seconds, 6)}


def _migration(migration: Migration) -> dict[str, Any]:
    return {"version": migration.version, "name": migration.name, "applied_at": migration.applied_at}


def _problem(problem: UsageStoreError) -> dict[str, Any]:
    diff = getattr(problem, "diff", None)
    return {"error": type(problem).__name__, "message": str(problem), **({"diff": diff} if diff else {})}


def _problem_lines(problem: UsageStoreError) -> list[str]:
    diff = getattr(problem, "diff", "")
    return [f"problem: {one_line(problem)}", *([Block(diff)] if diff else [])]


def _worst(problems: Sequence[UsageStoreError]) -> int:
    return max((problem.exit_code for problem in problems), default=0)


def status(arguments: argparse.Namespace) -> Outcome:
    """List the applied and the pending migrations.

    The exit code is that of the worst problem. Without problems, it is 1 with `--check` if migrations are pending.
    """
    with opened(arguments, readonly=True, missing="empty") as runner:
        status = runner.status(notices=arguments.notices)
    applied, pending = status.applied_migrations, status.pending_migrations
    width = max((len(str(migration)) for migration in (*applied, *pending)), default=0)
    where = f"{status.pending_count} pending in {named(arguments)}"
    lines = [f"version {status.current_version} of {status.latest_version}, {where}"]
    lines += (f"  {migration!s:{width}}  applied {_when(migration.applied_at)}" for migration in applied)
    lines += (f"  {migration!s:{width}}  pending" for migration in pending)
    lines += (f"notice: {notice}" for notice in status.notices)
    for problem in status.problems:
        lines += _problem_lines(problem)
    data = {
        "database": place_of(arguments) or None,
        "current_version": status.current_version,
        "latest_version": status.latest_version,
        "pending_count": status.pending_count,
        "applied": [_migration(migration) for migration in applied],
        "pending": [{"version": migration.version, "name": migration.name} for migration in pending],
        "problems": [_problem(problem) for problem in status.problems],
        "notices": list(status.notices),
    }
    code = _worst(status.problems) or (_PENDING if arguments.check and pending else 0)
    return Outcome(code, lines, data)


def check(arguments: argparse.Namespace) -> Outcome:
    """List the problems, and count the pending migrations. Both decide the exit code.

    With --models, the differences between models and database are problems too.
    """
    compare = _comparison(arguments)
    with opened(arguments, readonly=True, missing="empty") as runner:
        problems, pending = runner.check()
        differences, noticed, advice = compare(runner)
    lines = [line for problem in problems for line in _problem_lines(problem)]
    lines += [f"{pending} pending"] if pending else []
    lines += [line for problem in differences for line in _problem_lines(problem)]
    lines += [*(f"notice: {notice}" for notice in noticed), *([advice] if advice else [])]
    found = (*problems, *differences)
    data = {
        "database": place_of(arguments) or None,
        "pending_count": pending,
        "problems": [_problem(problem) for problem in found],
        "notices": list(noticed),
    }
    return Outcome(_worst(found) or (_PENDING if pending else 0), lines, data)


def _comparison(arguments: argparse.Namespace) -> Comparison:
    """Return the comparison with the models of --models. Without this option it finds and says nothing."""
    if arguments.models is None:
        return lambda _runner: ((), (), "")
    from usage_store.cli.models_of_a_command import comparison  # noqa: PLC0415  for this option only

    return comparison(arguments)


def _when(seconds: int | None) -> str:
    if seconds is not None and seconds >= _MILLISECONDS:
        seconds //= 1000
    try:
        return f"{datetime.fromtimestamp(seconds or 0, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OSError, OverflowError, ValueError):
        return f"at {seconds} s"


def validate(arguments: argparse.Namespace) -> Outcome:
    """Check integrity, foreign keys, history and schema."""
    readonly = not arguments.replay
    compare = _comparison(arguments)
    with opened(arguments, readonly=readonly, missing="refuse") as runner, ticking(_VALIDATING):
        report = runner.validate(full=arguments.full, replay=arguments.replay, notices=arguments.notices)
        differences, noticed, advice = compare(runner)
    problems = (*report.problems, *differences)
    notices = [*report.notices, *noticed]
    lines = [f"notice: {notice}" for notice in notices]
    for problem in problems:
        lines += _problem_lines(problem)
    lines += [*([advice] if advice else []), *([] if problems else ["valid"])]
    data = {"valid": not problems, "problems": [_problem(problem) for problem in problems]}
    return Outcome(_worst(problems), lines, {**data, "notices": notices})


def plan(arguments: argparse.Namespace) -> Outcome:
    """Show the SQL that would run."""
    with opened(arguments, readonly=True, missing="empty") as runner:
        plan = runner.plan(arguments.target)
    lines = [] if plan else ["-- nothing to do"]
    for planned in plan:
        lines += [f"-- {planned.direction} {planned.migration}", *(Block(f"{sql};") for sql in planned.statements)]
    data = [{**_migration(p.migration), "direction": p.direction, "statements": p.statements} for p in plan]
    return Outcome(0, lines, data)


def stamp(arguments: argparse.Namespace) -> Outcome:
    """Record migrations as applied."""
    with opened(arguments) as runner:
        stamped = runner.stamp(arguments.target)
    lines = [f"stamped {migration}" for migration in stamped]
    return Outcome(0, lines, [_migration(migration) for migration in stamped])


def adopt(arguments: argparse.Namespace) -> Outcome:
    """Take over the history of another runner. A missing database is an error, and is not created."""
    with opened(arguments, missing="refuse") as runner:
        adopted = runner.adopt(arguments.source, table=arguments.from_table)
    lines = [f"adopted {migration}, applied {_when(migration.applied_at)}" for migration in adopted]
    return Outcome(0, lines or ["nothing to adopt"], [_migration(migration) for migration in adopted])


def log(arguments: argparse.Namespace) -> Outcome:
    """List the runs of migrations."""
    with opened(arguments, readonly=True) as runner, runner.connected():
        entries = runner.log.entries()
    lines = [
        f"{_when(entry.logged_at)}  {entry.action:5}  {entry.version:03d}_{entry.name}  "
        f"{entry.seconds * 1000:.1f} ms  {entry.checksum[:12]}  {entry.package_version}"
        for entry in entries
    ]
    return Outcome(0, lines or ["nothing logged"], [entry._asdict() for entry in entries])
