"""Which models `create --from` takes, and how the file that it writes is named."""

from __future__ import annotations

import ast
import sys
import uuid
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from usage_store.engines.sqlite.connection.open_file import open_database
from usage_store.errors import ConfigurationError
from usage_store.migrate import MigrationRunner
from usage_store.migrate.create_from_models import Generated, _literal, generate, load_models, write
from usage_store.models import MODELS

if TYPE_CHECKING:
    from pathlib import Path

TEXT = st.characters(exclude_characters="\0", exclude_categories=["Cs"])  # what SQL can hold


@settings(max_examples=50)
@example('\'"""')
@example("'\\\"")
@given(st.text(alphabet="\"'\\\n\r\t a{}%é") | st.text(TEXT, min_size=80, max_size=300))
def test_any_text_is_written_as_a_literal_of_it(value: str) -> None:
    assert ast.literal_eval(_literal(value)) == value


@pytest.mark.quick
def test_files_are_numbered_on_and_named_after_their_title(tmp_path: Path) -> None:
    generated = Generated("\n\ndef up(migrator, db):\n    pass\n", (), empty=False)
    write(tmp_path / "m", "first", generated)
    assert write(tmp_path / "m", "Add the table.", generated).name == "002_add_the_table.py"
    assert (tmp_path / "m" / "002_add_the_table.py").read_text().startswith('"""Add the table."""\n\n\ndef up')


def test_the_usage_models_need_no_migration_after_their_own(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "usage.db")) as database:
        MigrationRunner(database).migrate()
        assert generate(database, MODELS) == Generated("", (), empty=True)


SOURCE = """
from peewee import *
from {name}.people import Person, Imported
class Base(Model):
    created = IntegerField()
class Team(Base):
    members = ManyToManyField(Person)
class Empty(Model):
    pass
LISTED = (Team, Person)
WRONG = [Team, 1]
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"app_{uuid.uuid4().hex}"
    (tmp_path / name).mkdir()
    people = "from peewee import *\nclass Person(Model):\n    name = TextField()\n"
    people += "from usage_store.models import UsageConfig as Imported\n"
    (tmp_path / name / "__init__.py").write_text(SOURCE.format(name=name))
    (tmp_path / name / "people.py").write_text(people)
    (tmp_path / name / "broken.py").write_text("raise ValueError('no\\nsettings')")
    (tmp_path / name / "bare.py").write_text("")
    monkeypatch.chdir(tmp_path)
    return name


def test_a_module_gives_its_own_models_and_those_of_its_submodules(package: str) -> None:
    path = list(sys.path)
    names = [found.__name__ for found in load_models(package)]
    assert names == ["Person", "Team", "TeamPersonThrough"]
    assert sys.path == path


def test_a_name_gives_the_models_that_it_lists(package: str) -> None:
    assert [found.__name__ for found in load_models(f"{package}:LISTED")] == ["Team", "Person"]
    assert [found.__name__ for found in load_models(f"{package}:Base")] == ["Base"]
    assert load_models("usage_store.models:MODELS") == list(MODELS)
    assert load_models("usage_store.models") == list(MODELS)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{0}:WRONG", "{0}:WRONG: not a model or a list of models"),
        ("{0}:MISSING", "{0}:MISSING: not a model or a list of models"),
        ("{0}.missing", "{0}.missing: cannot be imported: ModuleNotFoundError: No module named '{0}.missing'"),
        ("{0}.broken", "{0}.broken: cannot be imported: ValueError: no settings"),
        ("{0}.bare", "{0}.bare: defines no models; name them with {0}.bare:NAME"),
        ("", "'': not a module of models; allowed: package.models or package.models:NAME"),
    ],
)
def test_models_that_cannot_be_loaded_are_one_line(package: str, spec: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_models(spec.format(package))
    assert str(caught.value) == message.format(package)
