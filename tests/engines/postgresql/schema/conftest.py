"""Fixtures for the tests of schema operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import peewee
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = """
CREATE TABLE parents (id bigint PRIMARY KEY, "Name" text UNIQUE);
CREATE TABLE items (
    id serial PRIMARY KEY, a text NOT NULL DEFAULT 'x  y', b integer, "C" text,
    parent_id bigint CONSTRAINT to_parent REFERENCES parents ON DELETE CASCADE,
    made integer GENERATED ALWAYS AS (b + 1) STORED, spare text, seen text, noted text,
    CONSTRAINT positive CHECK (b > 0), CONSTRAINT pair UNIQUE (a, b), CONSTRAINT apart CHECK (b <> id + 1000),
    CONSTRAINT one UNIQUE (spare)
);
CREATE INDEX items_parent ON items (parent_id);
CREATE INDEX items_partial ON items (id) WHERE "C" <> '';
CREATE INDEX items_expression ON items (lower("C"));
CREATE UNIQUE INDEX items_unique ON items (id, noted);
CREATE VIEW v AS SELECT id, seen FROM items;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER t AFTER UPDATE OF noted ON items FOR EACH ROW EXECUTE FUNCTION nothing();
INSERT INTO parents VALUES (1, 'p');
INSERT INTO items (a, b, "C", parent_id, spare) VALUES ('one', 1, 'c', 1, NULL), ('two', 2, NULL, NULL, 's');
"""


@pytest.fixture(params=["psycopg", "psycopg2"])
def database(postgresql_url: str, request: pytest.FixtureRequest) -> Iterator[peewee.PostgresqlDatabase]:
    url, _, schema = postgresql_url.rpartition("schema=")
    database = peewee.PostgresqlDatabase(
        url.rstrip("?&"), prefer_psycopg3=request.param == "psycopg", options=f"-c search_path={schema}"
    )
    database.connect()
    for statement in SCHEMA.strip().rstrip(";").split(";\n"):
        database.execute_sql(statement)
    yield database
    database.close()
