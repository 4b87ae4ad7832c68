"""The content of a migration that is generated from models, and the name of its file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.databases import opened
from tests.support.stores import migrate
from usage_store.errors import ConfigurationError
from usage_store.migrate.create_from_models import Generated, generate, write
from usage_store.models import MODELS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.databases import Target


@pytest.mark.quick
def test_files_are_numbered_on_and_named_after_their_title(tmp_path: Path) -> None:
    generated = Generated("\n\ndef up(migrator, db):\n    pass\n")
    write(tmp_path / "m", "first", generated)
    assert write(tmp_path / "m", "Add the table.", generated).name == "002_add_the_table.py"
    assert (tmp_path / "m" / "002_add_the_table.py").read_text().startswith('"""Add the table."""\n\n\ndef up')


def test_without_anything_to_run_no_file_is_written(tmp_path: Path) -> None:
    for generated in (Generated(), Generated(todo=("write it by hand",))):
        with pytest.raises(ConfigurationError, match="nothing was written"):
            write(tmp_path / "m", "first", generated)
    assert list(tmp_path.iterdir()) == []


def test_the_usage_models_need_no_migration_after_their_own(store_target: Target) -> None:
    migrate(store_target)
    with opened(store_target) as database:
        assert generate(database, MODELS) == Generated()
