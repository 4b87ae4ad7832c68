"""The fixtures in the test suite of an application, which is run by another pytest process."""

from __future__ import annotations

import textwrap
from inspect import unwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import usage_store
from tests.support.programs import printed

if TYPE_CHECKING:
    import peewee

pytestmark = pytest.mark.quick

pytest_plugins = ["pytester"]

UNBOUND = """
    import pytest
    from usage_store import UsageConfig, UsageSession, UsageSnapshot

    seen = []

    @pytest.fixture(autouse=True)
    def unbound_and_closed():
        yield
        for model in (UsageConfig, UsageSession, UsageSnapshot):
            assert model._meta.database is None
        assert all(database.is_closed() for database in seen)
"""
MODELS = """
    import peewee

    production = peewee.SqliteDatabase("production.db")

    class Project(peewee.Model):
        name = peewee.TextField()

        class Meta:
            database = production
            table_name = "projects"
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Return a folder for the tests of an application. The package is imported from the same place as here."""
    monkeypatch.setenv("PYTHONPATH", str(Path(usage_store.__file__).parents[1]))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # loading other plugins of this environment takes seconds
    return pytester


def _passed(suite: pytest.Pytester, count: int) -> None:
    result = suite.runpytest_subprocess("-p", "usage_store.pytest_plugin", "-W", "error")
    result.assert_outcomes(passed=count)
    assert result.ret == 0


def test_each_test_has_a_fresh_migrated_bound_database_that_is_unbound_and_closed_afterwards(
    suite: pytest.Pytester,
) -> None:
    suite.makeconftest(textwrap.dedent(UNBOUND))
    suite.makepyfile("""
        import pytest
        import usage_store
        from conftest import seen

        @pytest.mark.parametrize("n", [1, 2, 3])
        def test_it(usage_database, tmp_path, n):
            seen.append(usage_database)
            assert len(set(map(id, seen))) == n
            assert usage_store.UsageSnapshot._meta.database is usage_database
            assert usage_database.database == str(tmp_path / "usage.db")
            assert usage_database.pragma("foreign_keys") == 1
            assert usage_store.get_migration_status().pending_count == 0
            assert usage_store.validate_database()
            assert usage_store.get_usage_config().plan == "custom"
            assert usage_store.update_usage_config({"plan": "pro"})
            assert usage_store.get_usage_snapshots() == []
            usage_store.register_session("a")
            assert usage_store.insert_usage_snapshot({"session_id": "a", "snapshot_data": {}}).id == 1

        def test_seen():
            assert len(seen) == 3 and all(database.is_closed() for database in seen)
    """)
    _passed(suite, count=4)


@pytest.mark.slow
def test_it_is_unbound_and_closed_after_a_test_that_fails_too(suite: pytest.Pytester) -> None:
    suite.makeconftest(textwrap.dedent(UNBOUND))
    suite.makepyfile("""
        from conftest import seen

        def test_it(usage_database):
            seen.append(usage_database)
            assert False
    """)
    result = suite.runpytest_subprocess("-p", "usage_store.pytest_plugin", "-W", "error")
    result.assert_outcomes(failed=1)  # and no error at teardown


@pytest.mark.slow
def test_the_seeded_database_comes_with_what_was_written(suite: pytest.Pytester) -> None:
    suite.makeconftest(textwrap.dedent(UNBOUND))
    suite.makepyfile("""
        import usage_store
        from conftest import seen

        def test_it(seeded_usage_database, usage_database):
            database, seeded = seeded_usage_database
            seen.append(database)
            assert database is usage_database
            assert len(seeded.snapshots) == usage_store.UsageSnapshot.select().count() == 100
            newest = usage_store.get_usage_snapshots_by_session(seeded.snapshots[-1]["session_id"])[0]
            assert newest.data == seeded.snapshots[-1]["snapshot_data"]
            assert usage_store.get_usage_config().plan == seeded.config["plan"]

        def test_the_next_one_is_empty(usage_database):
            assert usage_store.UsageSession.select().count() == 0
    """)
    _passed(suite, count=2)


@pytest.mark.slow
def test_an_application_adds_its_own_models_and_migrations(suite: pytest.Pytester) -> None:
    suite.makepyfile(shop=textwrap.dedent(MODELS))
    folder = suite.mkdir("shop_migrations")
    (folder / "001_add_projects.py").write_text(
        "def up(migrator, db):\n    db.execute_sql('CREATE TABLE projects (id INTEGER PRIMARY KEY, name TEXT)')\n"
    )
    (folder / "002_add_first_project.py").write_text(
        "def up(migrator, db):\n    db.execute_sql('INSERT INTO projects (name) VALUES (?)', ('first',))\n"
    )
    suite.makeconftest(
        textwrap.dedent(UNBOUND)
        + textwrap.dedent("""
        from pathlib import Path
        from shop import Project

        @pytest.fixture
        def usage_store_models():
            return [Project]

        @pytest.fixture
        def usage_store_migrations():
            return [(Path(__file__).parent / "shop_migrations", "shop_history")]
    """)
    )
    suite.makepyfile("""
        import pytest
        from conftest import seen
        from shop import Project, production
        from usage_store import MigrationRunner, UsageSession

        @pytest.mark.parametrize("n", [1, 2])
        def test_it(usage_database, n):
            seen.append(usage_database)
            assert [project.name for project in Project.select()] == ["first"]
            Project.create(name="second")
            UsageSession.register("a")
            history = [row[0] for row in usage_database.execute_sql("SELECT version FROM shop_history ORDER BY 1")]
            assert history == [1, 2]
            assert MigrationRunner(usage_database).validate().ok

        def test_the_application_s_model_has_its_own_database_back():
            assert Project._meta.database is production
    """)
    _passed(suite, count=3)
    assert not Path("production.db").exists()


def test_a_test_run_without_the_fixtures_loads_nothing_of_the_package(tmp_path: Path) -> None:
    code = "import sys, usage_store.pytest_plugin; print(*sorted(each for each in sys.modules if 'usage_st' in each))"
    out, _ = printed(code, cwd=tmp_path)
    assert [each for each in out.split() if not each.startswith("__editable__")] == [
        "usage_store",
        "usage_store._version",
        "usage_store.pytest_plugin",
    ]


def test_pytest_says_where_a_fixture_is_defined(request: pytest.FixtureRequest) -> None:
    """A private name. The package takes relative folders of migrations from the file that defines the fixture."""
    definitions = request._fixturemanager.getfixturedefs("suite", request.node)
    assert definitions is not None, "pytest has changed"
    assert unwrap(definitions[-1].func).__code__.co_filename == __file__


def test_the_database_of_a_test_knows_the_function_for_compacted_snapshots(usage_database: peewee.Database) -> None:
    assert usage_database.execute_sql("SELECT usage_json('[]')").fetchone() == ("[]",)
