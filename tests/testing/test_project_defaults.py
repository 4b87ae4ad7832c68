"""What the fixtures take from the settings of a project."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from usage_store.errors import ConfigurationError
from usage_store.testing.project_defaults import ProjectDefaults

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("setting", ["database", "models"])
def test_a_module_that_opens_the_production_database_is_refused_and_opens_nothing(
    setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"app_with_{setting}"
    value = f"{module}:db" if setting == "database" else module
    (tmp_path / "pyproject.toml").write_text(f'[tool.usage_store]\n{setting} = "{value}"\n', encoding="utf-8")
    source = "import peewee\ndb = peewee.SqliteDatabase('production.db')\ndb.connect()\n"
    (tmp_path / f"{module}.py").write_text(source, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    path = [*sys.path]
    with pytest.raises(ConfigurationError, match=r"the import opens the database .*production\.db"):
        getattr(ProjectDefaults(tmp_path), setting)
    assert not (tmp_path / "production.db").exists()
    assert sys.path == path
