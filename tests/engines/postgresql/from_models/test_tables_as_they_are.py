"""The first migration of a database that has tables already makes them as they are, and takes them away again."""

from __future__ import annotations

from typing import Any

from usage_store.migrate.create_from_models import generate_as_they_are

TABLES = """
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE DOMAIN feeling AS mood CHECK (VALUE <> 'bad');
CREATE SEQUENCE "Numbers" AS integer;
CREATE SEQUENCE note;
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TABLE a_note (
    id serial PRIMARY KEY, title text DEFAULT '100%%', feels feeling, n integer DEFAULT nextval('"Numbers"'),
    person_id bigint, CONSTRAINT "Odd" CHECK (title <> 'a, b'));
CREATE TABLE "Person" (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE, note_id integer);
CREATE TABLE other (id integer);
CREATE TABLE parts (at date PRIMARY KEY) PARTITION BY RANGE (at);
ALTER TABLE a_note ADD CONSTRAINT "to Person" FOREIGN KEY (person_id) REFERENCES "Person" ON DELETE CASCADE;
ALTER TABLE "Person" ADD FOREIGN KEY (note_id) REFERENCES a_note NOT VALID;
CREATE INDEX lower_title ON a_note (lower(title)) WHERE title <> '%%';
CREATE TRIGGER made BEFORE INSERT ON a_note FOR EACH ROW EXECUTE FUNCTION f()
"""


def test_tables_with_all_that_they_name_are_made_elsewhere_as_they_are(project: Any) -> None:
    project.run(*TABLES.split(";\n"))
    with project.database.atomic() as block:
        source = generate_as_they_are(project.database, {"a_note", "person", "parts", "nothing"}).source
        before = project.state()
        project.run(
            'DROP TABLE a_note, "Person", parts',
            'DROP SEQUENCE "Numbers"',
            "DROP DOMAIN feeling",
            "DROP TYPE mood",
            "DROP FUNCTION f()",
        )
        empty = project.state()
        project.up(source)
        # A foreign key that was not checked yet is checked for the rows of a new table.
        assert project.state() == {name: text.removesuffix(" NOT VALID") for name, text in before.items()}
        project.rollback()
        assert project.state() == empty
        assert project.rows(
            "SELECT typname FROM pg_type "
            "WHERE typnamespace = quote_ident(current_schema())::regnamespace AND typtype IN ('d', 'e')"
        ) == []  # fmt: skip
        block.rollback()


def test_a_database_without_the_tables_gets_no_file(project: Any) -> None:
    project.run("CREATE TABLE other (id integer)")
    assert generate_as_they_are(project.database, {"person"}).source == ""
