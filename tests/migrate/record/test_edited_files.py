"""Which edits of an applied migration do not change its meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.commands import called
from tests.support.databases import raw
from tests.support.migrations import migrate_all, runner_of, sql, table, write
from usage_store import errors

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick

ONE = table("one")
MORE = "only to declare more in `deletes` or `drops`"
REASONS = "only to say why it is `irreversible` or `lossy`"
HARMLESS = {
    "a declaration": (ONE, f'deletes = ("one.title",)\n\n{ONE}', MORE),
    "two declarations": (ONE, f'deletes = ("one",)\ndrops = ["one_title"]\n{ONE}', MORE),
    "at the end": (ONE, f'{ONE}\ndeletes = ("one",)\n', MORE),
    "a name more": (f'deletes = ("one",)\n{ONE}', f'deletes = ["one", "one.title"]\n{ONE}', MORE),
    "a declaration and a comment": (ONE, f'# as of today\ndrops = ("i",)\n{ONE}', MORE),
    "a docstring stays one": (f'"""Why."""\n{ONE}', f'"""Why."""\n\ndeletes = ("one",)\n{ONE}', MORE),
    "a reason": (ONE, f'lossy = "the ages were wrong"\nirreversible = "no ages"\n{ONE}', REASONS),
    "another reason": (f'lossy = "old"\n{ONE}', f'{ONE}\nlossy = "new"\n', REASONS),
    "a reason and a declaration": (ONE, f'lossy = "why"\ndeletes = ("one",)\n{ONE}', MORE),
    "a comment": (ONE, f"# more\n{ONE}", "in comments or layout only"),
}
LOOP = "def up(migrator, db):\n    for name in deletes:\n        db.execute_sql(f'CREATE TABLE {name} (a INTEGER)')\n"
MEANING = {
    "a name less": (f'deletes = ("one", "two")\n{ONE}', f'deletes = ("one",)\n{ONE}'),
    "no declaration any more": (f'deletes = ("one",)\n{ONE}', ONE),
    "another statement as well": (ONE, f'deletes = ("one",)\n{table("two")}'),
    "no literal": (ONE, f"deletes = tuple(['one'])\n{ONE}"),
    "a number among them": (ONE, f'deletes = ("one", 1)\n{ONE}'),
    "another declaration": (ONE, f"atomic = False\n{ONE}"),
    "what the module looks at": (f'deletes = ("one",)\n{LOOP}', f'deletes = ("one", "two")\n{LOOP}'),
    "a reason that is used": (f'lossy = "a"\nprint(lossy)\n{ONE}', f'lossy = "b"\nprint(lossy)\n{ONE}'),
    "no reason": (ONE, f"lossy = True\n{ONE}"),
    "within a function": (ONE, ONE.replace("(migrator, db):", "(migrator, db):\n    deletes = ('one',)", 1)),
    "twice": (f'deletes = ("one",)\n{ONE}', f'deletes = ("one",)\ndeletes = ()\n{ONE}'),
}


def edited(path: Path, before: str, after: str) -> tuple[tuple[type[Exception], ...], tuple[str, ...], list[str]]:
    directory = write(path.parent / "own", {"001_one": before, "002_two": table("two")})
    migrate_all(path, directory)
    write(directory, {"001_one": after, "003_three": table("three")})
    with runner_of(path, directory) as runner:
        status = runner.status()
        problems = tuple(type(problem) for problem in status.problems)
        assert tuple(type(problem) for problem in runner.check()[0]) == problems
        ran = [] if problems else [str(step.migration) for step in runner.migrate()]
    return problems, status.notices, ran


@pytest.mark.parametrize(("before", "after", "notice"), HARMLESS.values(), ids=HARMLESS)
def test_an_edit_that_changes_no_meaning_is_a_notice(path: Path, before: str, after: str, notice: str) -> None:
    said = f"001_one.py was edited after it was applied, {notice}"
    assert edited(path, before, after) == ((), (said,), ["003_three"])


@pytest.mark.parametrize(("before", "after"), MEANING.values(), ids=MEANING)
def test_an_edit_that_may_change_the_meaning_is_an_error(path: Path, before: str, after: str) -> None:
    if before.endswith(LOOP):
        before, after = before.replace('"one"', '"a1"'), after.replace('"one"', '"a1"')
    assert edited(path, before, after) == ((errors.EditedMigration,), (), [])


def test_a_directory_whose_newest_file_declares_more_keeps_its_history(path: Path) -> None:
    directory = write(path.parent / "own", {"001_one": ONE})
    words = ("--database", path, "--directory", directory)
    assert called(*words, cwd=path.parent).returncode == 0
    write(directory, {"001_one": f'deletes = ("one",)\n{ONE}'})
    done = called("status", *words, cwd=path.parent)
    assert (done.returncode, MORE in done.stdout) == (0, True)


def test_an_edit_back_to_what_ran_is_none_whatever_was_noted_of_another_file(path: Path) -> None:
    directory = write(path.parent / "own", {"001_one": ONE, "002_two": table("two")})
    migrate_all(path, directory)
    with raw(path) as connection:
        connection.execute(
            "INSERT INTO schema_migration_log (version, name, action, logged_at, seconds, checksum, source, "
            "fingerprint, package_version) SELECT version, 'other', 'stamp', 1, 0.0, 'other', ?, fingerprint, "
            "package_version FROM schema_migration_log WHERE version = 2",
            (b"\0",),
        )
    with runner_of(path, directory) as runner:
        status = runner.status()
        assert (status.problems, status.notices) == ((), ())


@pytest.mark.parametrize("text", ["(" * 5000, "-" * 50_000 + "1", sql("CREATE TABLE one (a INTEGER)") + "#" * 2**20])
def test_what_cannot_be_parsed_or_is_very_long_is_told_as_an_edit(path: Path, text: str) -> None:
    directory = write(path.parent / "own", {"001_one": ONE})
    migrate_all(path, directory)
    write(directory, {"001_one": text})
    with runner_of(path, directory) as runner:
        (problem,) = runner.status().problems
    assert isinstance(problem, errors.EditedMigration)
    assert "\n" not in str(problem)
