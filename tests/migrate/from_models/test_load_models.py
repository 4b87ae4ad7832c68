"""Which models of a module `create --from` uses, and which lines it prints about the others."""

from __future__ import annotations

import re
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.databases import is_there, own, written
from usage_store.engines import name_of
from usage_store.errors import ConfigurationError
from usage_store.migrate.from_models.load_models import load_models
from usage_store.models import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.databases import Target

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


BASES = """
from peewee import *
class Plain(Model):
    pass
class Stamped(Plain):
    at = IntegerField()
class Person(Stamped):
    name = TextField()
class Employee(Person):
    salary = IntegerField()
class Same(Model):
    a = IntegerField()
    class Meta: table_name = "same"
class Wider(Same):
    b = IntegerField()
    class Meta: table_name = "same"
class Counter(Model):
    pass
class Listed(Model):
    employee = ForeignKeyField(Employee)
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    name = f"app_{uuid.uuid4().hex}"
    (tmp_path / name).mkdir()
    people = "from peewee import *\nclass Person(Model):\n    name = TextField()\n"
    people += "from usage_store.models import UsageConfig as Imported\n"
    (tmp_path / name / "__init__.py").write_text(SOURCE.format(name=name))
    (tmp_path / name / "people.py").write_text(people)
    (tmp_path / name / "broken.py").write_text("raise ValueError('no\\nsettings')")
    (tmp_path / name / "bare.py").write_text("")
    (tmp_path / name / "ends.py").write_text("import sys\nsys.exit()")
    (tmp_path / name / "bases.py").write_text(BASES)
    monkeypatch.chdir(tmp_path)
    yield name
    for module in [each for each in sys.modules if each.startswith(name)]:
        del sys.modules[module]  # its models would look like an application's to later tests


def test_a_module_gives_its_own_models_and_those_of_its_submodules(package: str) -> None:
    path = list(sys.path)
    names = [found.__name__ for found in load_models(package).sure]
    assert names == ["Person", "Team", "TeamPersonThrough"]
    assert sys.path == path


def test_a_name_gives_the_models_that_it_lists(package: str) -> None:
    assert [found.__name__ for found in load_models(f"{package}:LISTED").sure] == ["Team", "Person"]
    assert [found.__name__ for found in load_models(f"{package}:Base").sure] == ["Base"]
    assert load_models("usage_store.models:MODELS").sure == MODELS
    assert load_models("usage_store.models").sure == MODELS


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{0}:WRONG", "{0}:WRONG: not a model or a list of models"),
        ("{0}:MISSING", "{0}:MISSING: not a model or a list of models"),
        ("{0}.missing", "{0}.missing: cannot be imported: ModuleNotFoundError: No module named '{0}.missing'"),
        ("{0}.broken", "{0}.broken: cannot be imported: ValueError: no settings"),
        ("{0}.ends", "{0}.ends: cannot be imported: SystemExit: "),
        ("{0}.bare", "{0}.bare: defines no models; name them with {0}.bare:NAME"),
        ("", "'': not a module of models; allowed: package.models or package.models:NAME"),
    ],
)
def test_models_that_cannot_be_loaded_are_one_line(package: str, spec: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_models(spec.format(package))
    assert str(caught.value) == message.format(package)


def names_in_use(package: str, *tables: str) -> tuple[list[str], list[str]]:
    models, lines = load_models(f"{package}.bases").in_use(tables)
    return [model.__name__ for model in models], [line.partition(":")[0] for line in lines]


def test_a_base_is_a_model_if_the_database_has_its_table(package: str) -> None:
    left = ["Stamped is left out", "Person is left out", "Counter is left out"]
    assert names_in_use(package) == (["Employee", "Wider", "Listed"], left)
    assert names_in_use(package, "person", "counter", "same", "other") == (
        ["Employee", "Wider", "Listed", "Person", "Counter"],
        ["Stamped is left out"],
    )
    assert "Plain" in names_in_use(package, "plain")[0]


def test_a_base_is_a_model_if_another_refers_to_it(package: str, tmp_path: Path) -> None:
    more = BASES + "class Note(Model):\n    person = ForeignKeyField(Person)\n    counter = ForeignKeyField(Counter)\n"
    (tmp_path / package / "referred.py").write_text(more)
    models, lines = load_models(f"{package}.referred").in_use(())
    assert [model.__name__ for model in models][-2:] == ["Person", "Counter"]
    assert len(lines) == 1


def test_why_a_model_is_left_out_is_said_and_how_to_name_it(package: str) -> None:
    _, (_, person, counter) = load_models(f"{package}.bases").in_use(())
    assert person == (
        "Person is left out: Employee derives from it, and the database has no table person; to create one, name "
        "a list that contains this model and the others, as MODULE:NAME"
    )
    assert counter.startswith("Counter is left out: it has no field of its own, and the database has no table counter;")


def test_a_module_of_nothing_but_bases_is_refused(package: str, tmp_path: Path) -> None:
    (tmp_path / package / "only.py").write_text("from peewee import *\nclass Base(Model):\n    pass\n")
    with pytest.raises(ConfigurationError, match=r"^Base: no table in the database"):
        load_models(f"{package}.only").in_use(())


MAKES = """
from peewee import *
db = {}
class T(Model):
    a = TextField()
    class Meta: database = db
db.create_tables([T])
T.create(a='x')
db.close()
"""


def test_an_import_that_opens_a_database_is_refused_and_opens_none(package: str, store_target: Target) -> None:
    (Path(package) / "makes.py").write_text(MAKES.format(written(store_target)))
    place = re.escape(name_of(own(store_target)))
    with pytest.raises(ConfigurationError, match=rf"^{package}.makes: the import opens the database {place}, which "):
        load_models(f"{package}.makes")
    assert not is_there(store_target)


def test_an_import_may_open_a_database_in_memory(package: str, tmp_path: Path) -> None:
    (Path(package) / "in_memory.py").write_text(MAKES.format("SqliteDatabase(':memory:')"))
    (model,) = load_models(f"{package}.in_memory").sure
    model._meta.database.init(str(tmp_path / "later.db"))
    assert model._meta.database.connect(), "after the import, it may be opened"
    model._meta.database.close()
