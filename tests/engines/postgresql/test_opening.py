"""Databases of PostgreSQL that are opened by a URL."""

from __future__ import annotations

from usage_store.engines import engine_of, open_database


def test_a_url_opens_the_database_in_its_schema(postgresql_url: str) -> None:
    database = open_database(postgresql_url)
    try:
        engine = engine_of(database)
        assert engine.NAME == "postgresql"
        engine.check_version(database)
        (schema,) = database.execute_sql("SELECT current_schema()").fetchone()
        assert postgresql_url.endswith(f"schema={schema}")
        with engine.write_transaction(database):
            database.execute_sql("CREATE TABLE items (id bigint)")
            assert engine.in_transaction(database)
        assert engine.own_tables(database) == ["items"]
        assert engine.kind_of(database, "items") == "table"
    finally:
        database.close()
