"""The settings of a project in its pyproject.toml."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from usage_store.errors import ConfigurationError
from usage_store.project_settings import ProjectSettings, project_settings

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick


def test_the_nearest_file_counts_and_paths_begin_at_its_folder(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text(
        '[tool.usage_store]\ndatabase = "shop.db"\ndirectory = "shop/migrations"\ntable = "t"\nmodels = "m"'
    )
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    folder = str(tmp_path)
    wanted = ProjectSettings(str(file), f"{folder}/shop.db", f"{folder}/shop/migrations", "t", "m")
    assert project_settings(inside) == wanted
    (tmp_path / "a" / "pyproject.toml").write_text("[project]\n")
    assert project_settings(inside) is None


@pytest.mark.parametrize("database", ["shop.models:db", "sqlite:////srv/shop.db", ":memory:"])
def test_what_is_not_a_path_stays_as_it_is(tmp_path: Path, database: str) -> None:
    (tmp_path / "pyproject.toml").write_text(f'[tool.usage_store]\ndatabase = "{database}"')
    found = project_settings(tmp_path)
    assert found is not None
    assert found.database == database


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tool.usage_store\n", "cannot be read"),
        ("[tool]\nusage_store = 1\n", "write a table"),
        ("[tool.usage_store]\ndatabse = 'x'\n", r"no setting databse \(allowed: database, directory, table, models\)"),
        ("[tool.usage_store]\ntable = 3\n", "table is 3; it must be a text that is not empty"),
        ("[tool.usage_store]\nmodels = ''\n", "models is ''; it must be"),
        ("[tool.usage_store]\ndatabase = 'shop.models.db'\n", "database is 'shop.models.db'; .*: shop.models:db$"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_allowed(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "models.py").touch()
    with pytest.raises(ConfigurationError, match=message) as raised:
        project_settings(tmp_path)
    assert str(tmp_path / "pyproject.toml") in str(raised.value)


def test_a_file_beside_a_package_of_the_same_name_is_a_path(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "pyproject.toml").write_text("[tool.usage_store]\ndatabase = './shop.db'\n")
    found = project_settings(tmp_path)
    assert found is not None
    assert found.database == f"{tmp_path}/shop.db"


def test_a_relative_sqlite_url_begins_at_the_folder_of_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "100 %"
    folder.mkdir()
    (folder / "pyproject.toml").write_text("[tool.usage_store]\ndatabase = 'sqlite:///shop.db'\n")
    found = project_settings(folder)
    assert found is not None
    assert found.database == f"sqlite:///{tmp_path}/100%20%25/shop.db"


def test_a_file_that_does_not_mention_the_package_is_not_parsed(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.other\n")
    assert project_settings(tmp_path) is None
