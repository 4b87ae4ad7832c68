"""The storage of a database is that of its engine, and the models ask nothing else."""

from __future__ import annotations

import peewee
import pytest

from usage_store import errors
from usage_store.models import sqlite
from usage_store.models.storage_interface import storage_of


class Renamed(peewee.SqliteDatabase):
    """A host's own class."""


@pytest.mark.parametrize("kind", [peewee.SqliteDatabase, Renamed])
def test_each_class_of_database_has_the_storage_of_its_engine(kind: type[peewee.SqliteDatabase]) -> None:
    assert storage_of(kind(":memory:")) is storage_of(kind("other.db")) is sqlite


def test_what_no_engine_owns_is_refused_each_time() -> None:
    for _ in range(2):
        with pytest.raises(errors.ConfigurationError, match="PostgresqlDatabase is not supported"):
            storage_of(peewee.PostgresqlDatabase("x"))
