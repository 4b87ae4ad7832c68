"""The storage of a database is chosen by its engine."""

from __future__ import annotations

import peewee
import pytest

from usage_store import errors
from usage_store.models import sqlite
from usage_store.models.storage_interface import storage_of


class Renamed(peewee.SqliteDatabase):
    """A database class of a host."""


@pytest.mark.parametrize("kind", [peewee.SqliteDatabase, Renamed])
def test_each_class_of_database_has_the_storage_of_its_engine(kind: type[peewee.SqliteDatabase]) -> None:
    assert storage_of(kind(":memory:")) is storage_of(kind("other.db")) is sqlite


def test_a_database_class_without_an_engine_is_refused_at_each_call() -> None:
    for _ in range(2):
        with pytest.raises(errors.ConfigurationError, match="MySQLDatabase is not supported"):
            storage_of(peewee.MySQLDatabase("x"))
