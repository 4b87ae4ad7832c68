"""What the fixtures take from the settings of a project, in test runs of applications."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.applications import ADD_ITEMS, KIOSK, SHOP, run, write

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick


def test_the_settings_of_the_project_name_what_the_fixtures_use(tmp_path: Path) -> None:
    settings = {"database": "app.kiosk:db", "directory": "app/steps", "table": "kiosk_history", "models": "app.kiosk"}
    lines = "".join(f'{name} = "{value}"\n' for name, value in settings.items())
    write(tmp_path / "pyproject.toml", "[tool.usage_store]\n" + lines)
    write(tmp_path / "app" / "kiosk.py", KIOSK)
    write(tmp_path / "app" / "steps" / "001_add_items.py", ADD_ITEMS)
    write(
        tmp_path / "unit" / "test_settings.py",
        """
        import pytest
        import app.kiosk

        @pytest.fixture(scope="module")
        def made(make_usage_database, tmp_path_factory):
            with make_usage_database() as database:
                yield database

        @pytest.mark.parametrize("n", [1, 2])
        def test_in_one_file(made, n):
            assert app.kiosk.db.obj is made
            app.kiosk.Item.create(name="a")
            assert app.kiosk.Item.select().count() == n
            assert made.table_exists("kiosk_history")

        def test_in_a_file_of_its_own(made, usage_database, tmp_path):
            assert app.kiosk.db.obj.database == usage_database.database == str(tmp_path / "usage.db")
            assert app.kiosk.Item.select().count() == 0

        def test_in_the_one_file_again(made):
            assert app.kiosk.Item.select().count() == 2
        """,
    )
    write(
        tmp_path / "unit" / "test_own.py",
        """
        import pytest

        @pytest.fixture
        def usage_store_migrations():
            return []

        def test_the_fixture_wins(usage_database):
            assert not usage_database.table_exists("items")
        """,
    )
    printed = run(tmp_path, "unit")
    assert "5 passed" in printed, printed
    for wrong, says in (
        ("database = 7", "pyproject.toml: [tool.usage_store] database is 7; it must be a text that is not empty"),
        ("database = 'app.kiosk:nothing'", "app.kiosk:nothing: app.kiosk has no nothing; set by `database` in ["),
        ("database = 'app.kiosk:buy'", "app.kiosk:buy: must be a Peewee Database or DatabaseProxy, not <function"),
        ("models = 'app.missing'", "No module named 'app.missing'; set by `models` in [tool.usage_store] of"),
    ):
        write(tmp_path / "pyproject.toml", "[tool.usage_store]\n" + wrong)
        printed = run(tmp_path, "unit/test_own.py")
        assert printed.count(says) == 1
        assert "Traceback" not in printed


def test_in_a_run_over_several_projects_each_test_has_the_settings_that_are_nearest_to_it(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", "[tool.pytest.ini_options]\n[tool.usage_store]\nmodels = 'a.missing'\n")
    for name, source in (("shop", SHOP), ("kiosk", KIOSK)):
        folder = tmp_path / f"project_of_{name}"
        settings = f"database = '{name}:db'\ndirectory = 'steps'\ntable = '{name}_history'\n"
        write(folder / "pyproject.toml", f"[tool.usage_store]\n{settings}")
        write(folder / f"{name}.py", source)
        write(folder / "steps" / "001_add_items.py", ADD_ITEMS)
        write(
            folder / "tests" / f"test_{name}.py",
            f"""
            import sys

            def test_the_fixture(usage_database):
                assert getattr(sys.modules["{name}"].db, "obj", sys.modules["{name}"].db) is usage_database
                assert usage_database.table_exists("{name}_history")

            def test_the_factory(make_usage_database):
                with make_usage_database() as database:
                    assert getattr(sys.modules["{name}"].db, "obj", sys.modules["{name}"].db) is database
                    assert database.table_exists("{name}_history")
            """,
        )
    printed = run(tmp_path)
    assert "4 passed" in printed, printed
    write(tmp_path / "tests" / "test_root.py", "def test_it(usage_database): pass\n")
    write(tmp_path / "tests" / "pyproject.toml", "[project]\nname = 'no settings here'\n")
    assert "No module named 'a'; set by `models`" in run(tmp_path, "tests")


def test_a_module_of_the_settings_that_connects_at_its_import_is_named_and_opens_nothing(tmp_path: Path) -> None:
    write(tmp_path / "shop.py", SHOP)
    with (tmp_path / "shop.py").open("a") as file:
        file.write("\ndb.connect()\ndb.create_tables([Item])\n")
    write(tmp_path / "test_shop.py", "def test_it(usage_database):\n    import shop\n    shop.Item.create_table()\n")
    for setting in ("database = 'shop:db'", "models = 'shop'"):
        write(tmp_path / "pyproject.toml", f"[tool.usage_store]\n{setting}\n")
        printed = run(tmp_path)
        assert f"\nshop: the import opens the database {tmp_path}/production.db, which an import must not do" in printed
        assert f"; set by `{setting.split()[0]}` in [tool.usage_store] of {tmp_path}/pyproject.toml\n" in printed
        assert "Traceback" not in printed
        assert not (tmp_path / "production.db").exists()
