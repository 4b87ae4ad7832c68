"""Which migrations rollback() undoes, and when it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.databases import dump, names, rows, script
from tests.support.migrations import history, python, runner_of, sql, table, write
from usage_store import errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.databases import Target
    from usage_store.migrate import MigrationRunner, Step

pytestmark = pytest.mark.quick


@pytest.fixture
def migrated(path: Target, directory: Path) -> Iterator[MigrationRunner]:
    with runner_of(path, directory) as runner:
        runner.migrate()
        yield runner


def tables(path: Target) -> set[str]:
    return names(path) & {"one", "two", "three", "child"}


def test_by_default_the_newest_migration_is_undone(path: Target, migrated: MigrationRunner) -> None:
    (step,) = migrated.rollback()
    assert (str(step.migration), step.direction) == ("003_three", "down")
    assert tables(path) == {"one", "two"}
    assert history(path) == [1, 2]


@pytest.mark.parametrize(("target", "left"), [(0, []), (1, [1]), (2, [1, 2]), (3, [1, 2, 3])])
def test_a_target_is_the_version_that_stays(
    path: Target, migrated: MigrationRunner, target: int, left: list[int]
) -> None:
    steps = migrated.rollback(target)
    assert [step.migration.version for step in steps] == [3, 2, 1][: 3 - target]
    assert history(path) == left
    assert len(tables(path)) == target


def test_up_down_up_comes_to_the_same_database(path: Target, migrated: MigrationRunner) -> None:
    before = dump(path)
    migrated.rollback(0)
    migrated.migrate()
    after = dump(path)
    assert len(after.pop("schema_migration_log")) == 3 * len(before.pop("schema_migration_log"))
    assert after == before


@pytest.mark.parametrize("target", [4, -1, 99, "1"])
def test_a_target_that_is_not_applied_is_refused(path: Target, migrated: MigrationRunner, target: Any) -> None:
    with pytest.raises(errors.ConfigurationError, match=f"version {target!r} is not applied; allowed: 0, 1, 2, 3"):
        migrated.rollback(target)
    assert history(path) == [1, 2, 3]


def test_with_gaps_between_versions_the_one_before_is_the_applied_one(path: Target, directory: Path) -> None:
    write(directory, {"010_ten": table("ten")})
    with runner_of(path, directory) as runner:
        runner.migrate()
        runner.rollback()
        assert history(path) == [1, 2, 3]


def test_nothing_applied_is_nothing_to_roll_back(path: Target, directory: Path) -> None:
    with runner_of(path, directory) as runner:
        assert runner.rollback() == ()
        assert runner.rollback(0) == ()
        runner.migrate()
        runner.rollback(0)
        assert runner.rollback() == ()


def test_on_step_is_told_newest_first_after_each_commit(path: Target, migrated: MigrationRunner) -> None:
    told: list[tuple[Step, list[int]]] = []
    migrated.rollback(0, on_step=lambda step: told.append((step, history(path))))
    assert [(step.migration.version, left) for step, left in told] == [(3, [1, 2]), (2, [1]), (1, [])]


def test_nothing_is_touched_if_any_migration_on_the_way_has_no_down(path: Target, directory: Path) -> None:
    write(directory, {"002_two": sql("CREATE TABLE two (a INTEGER)", down=None)})
    with runner_of(path, directory) as runner:
        runner.migrate()
        before = dump(path)
        for target in (0, 1):
            with pytest.raises(errors.Irreversible, match=r"002_two\.py: defines no down.*nothing was rolled back"):
                runner.rollback(target)
            assert dump(path) == before
        assert len(runner.rollback(2)) == 1


def test_a_rollback_shows_the_reason_of_a_migration_that_says_that_it_is_irreversible(
    path: Target, directory: Path
) -> None:
    write(
        directory, {"002_two": 'irreversible = "the names are gone"\n' + sql("CREATE TABLE two (a INTEGER)", down=None)}
    )
    with runner_of(path, directory) as runner:
        runner.migrate()
        said = r"^002_two\.py: is irreversible, so nothing was rolled back: the names are gone$"
        with pytest.raises(errors.Irreversible, match=said):
            runner.rollback(1)
        assert len(runner.rollback(2)) == 1


@pytest.mark.parametrize("broken", ["def up(:\n", "raise ValueError('no')\n"])
def test_nothing_is_touched_if_any_file_on_the_way_is_broken(
    path: Target, directory: Path, migrated: MigrationRunner, broken: str
) -> None:
    before = dump(path)
    write(directory, {"001_one": broken})
    with pytest.raises(errors.LoadError, match=r"001_one\.py"):
        migrated.rollback(0)
    assert dump(path) == before


def test_nothing_is_touched_if_a_file_on_the_way_is_gone(
    path: Target, directory: Path, migrated: MigrationRunner
) -> None:
    (directory / "002_two.py").unlink()
    script(path, "DELETE FROM schema_migration_log")
    before = dump(path)
    with pytest.raises(errors.MissingMigration, match=r"002_two was applied and its file is gone; restore 002_two\.py"):
        migrated.rollback(1)
    assert dump(path) == before
    assert len(migrated.rollback()) == 1, "the file is not on this way"


def test_nothing_is_touched_if_the_newest_file_is_gone(
    path: Target, directory: Path, migrated: MigrationRunner
) -> None:
    (directory / "003_three.py").unlink()
    script(path, "DROP TABLE schema_migration_log")
    before = dump(path)
    with pytest.raises(errors.DatabaseNewer, match="the database has 003_three"):
        migrated.rollback()
    assert dump(path) == before


def test_a_migration_whose_file_is_gone_is_undone_from_the_log(path: Target, directory: Path) -> None:
    with runner_of(path, directory) as runner:
        runner.migrate()
        for file in directory.glob("00[23]_*.py"):
            file.unlink()
        assert [str(step.migration) for step in runner.rollback(1, stored_source=True)] == ["003_three", "002_two"]
    assert tables(path) == {"one"}


def test_a_down_that_fails_leaves_its_migration_applied(path: Target, directory: Path) -> None:
    down = """
        db.execute_sql("DELETE FROM two")
        db.execute_sql("DROP TABLE two")
        db.execute_sql("DROP TABLE nowhere")
    """
    write(directory, {"002_two": python("db.execute_sql('CREATE TABLE two (a INTEGER)')", down)})
    missing = '"nowhere" does not exist' if isinstance(path, str) else "no such table: nowhere"
    with runner_of(path, directory) as runner:
        runner.migrate()
        script(path, "INSERT INTO two VALUES (1), (2)")
        with pytest.raises(errors.MigrationFailed, match=rf"002_two\.py, line 7: .*{missing}") as caught:
            runner.rollback(0)
    assert caught.value.statement == "DROP TABLE nowhere"
    assert [(str(step.migration), step.direction) for step in caught.value.applied] == [("003_three", "down")]
    assert history(path) == [1, 2]
    assert rows(path, "SELECT * FROM two") == [(1,), (2,)]
    assert tables(path) == {"one", "two"}


def test_what_a_failed_rollback_says_was_done_is_called_rolled_back(path: Target, directory: Path) -> None:
    write(directory, {"001_one": sql("CREATE TABLE one (a INTEGER)", down=["no sql"])})
    with runner_of(path, directory) as runner:
        runner.migrate()
        with pytest.raises(errors.MigrationFailed, match="rolled back before it: 003_three, 002_two"):
            runner.rollback(0)


def test_a_late_pending_file_does_not_block_a_rollback(
    path: Target, directory: Path, migrated: MigrationRunner
) -> None:
    migrated.rollback(0)
    (directory / "002_two.py").rename(directory / "_later")
    migrated.migrate()
    (directory / "_later").rename(directory / "002_two.py")
    with pytest.raises(errors.LateMigration):
        migrated.migrate()
    assert len(migrated.rollback()) == 1
    assert len(migrated.migrate()) == 2, "with version 3 out of the way, 2 is not late any more"
    assert history(path) == [1, 2, 3]


def test_a_rollback_with_atomic_false_runs_outside_a_transaction(path: Target, directory: Path) -> None:
    write(
        directory,
        {"003_three": sql("CREATE TABLE three (a INTEGER)", down=["DROP TABLE three", "VACUUM"], atomic=False)},
    )
    with runner_of(path, directory) as runner:
        runner.migrate()
        assert len(runner.rollback()) == 1
    assert history(path) == [1, 2]
    assert tables(path) == {"one", "two"}


def test_a_parent_made_by_a_migration_can_be_dropped_with_its_children_there(path: Target, directory: Path) -> None:
    write(
        directory,
        {"004_child": sql("CREATE TABLE child (one INTEGER REFERENCES one)", down=["DROP TABLE child"])},
    )
    with runner_of(path, directory) as runner:
        runner.migrate()
        script(path, "INSERT INTO one VALUES (1, 'a'); INSERT INTO child VALUES (1)")
        assert len(runner.rollback(0)) == 4
    assert tables(path) == set()
