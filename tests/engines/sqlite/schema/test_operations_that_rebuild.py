"""Every schema operation, on a table with every feature: it changes what it says, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import peewee
import pytest

from tests.support.torture import TABLE, TORTURE, difference, edited, run, sound, state

if TYPE_CHECKING:
    from collections.abc import Callable

    from usage_store.engines.sqlite.schema.schema_operations import LosslessMigrator

    Operation = Callable[[LosslessMigrator], Any]

pytestmark = pytest.mark.quick

# What each operation replaces in the text of the table, once and exactly.
REBUILDS: dict[str, tuple[Operation, str, str]] = {
    "add_constraint": (
        lambda m: m.add_constraint("TORTURE", "a rule", peewee.Check("length(spare) < 100 AND ',)' <> b")),
        "CHECK (a <> 13)",
        """CHECK (a <> 13), CONSTRAINT "a rule" CHECK (length(spare) < 100 AND ',)' <> b)""",
    ),
    "add_constraint with values": (
        lambda m: m.add_constraint("torture", "rule", peewee.SQL("CHECK (b <> ? OR made > ?)", ["it's ?", 5])),
        "CHECK (a <> 13)",
        """CHECK (a <> 13), CONSTRAINT "rule" CHECK (b <> 'it''s ?' OR made > 5)""",
    ),
    "drop_constraint of the table": (
        lambda m: m.drop_constraint("torture", "IN_LIST"),
        "  , CONSTRAINT in_list CHECK (b IN ('x', 'y)', 'z,(') OR (b IS NULL))\n    UNIQUE (a, b)",
        "  ,\n    UNIQUE (a, b)",
    ),
    "drop_constraint with its comma": (
        lambda m: m.drop_constraint("torture", "pair"),
        '  , CONSTRAINT "pair" FOREIGN KEY (a, b) REFERENCES pairs(x, y) ON DELETE CASCADE\n',
        "\n",
    ),
    "drop_constraint of a column": (
        lambda m: m.drop_constraint("torture", "amount_range"),
        " CONSTRAINT amount_range CHECK (amount BETWEEN -1 AND (max(1, 2) * 1000)) DEFAULT",
        " DEFAULT",
    ),
    "drop_constraint of a foreign key": (
        lambda m: m.drop_constraint("torture", "to_parent"),
        """ CONSTRAINT to_parent REFERENCES parents(id)
    ON DELETE SET NULL ON UPDATE SET DEFAULT DEFERRABLE INITIALLY DEFERRED,""",
        ",",
    ),
    "add_unique": (
        lambda m: m.add_unique("torture", "B", "id"),
        "CHECK (a <> 13)",
        'CHECK (a <> 13), CONSTRAINT "uniq_B_id" UNIQUE ("B", "id")',
    ),
    "add_foreign_key_constraint": (
        lambda m: m.add_foreign_key_constraint("torture", "größe", "parents", "id"),
        "CHECK (a <> 13)",
        'CHECK (a <> 13), CONSTRAINT "fk_torture_größe_refs_parents" FOREIGN KEY ("größe") REFERENCES "parents" ("id")',
    ),
    "add_foreign_key_constraint with actions": (
        lambda m: m.add_foreign_key_constraint("torture", "parent", "parents", "id", None, "CASCADE", "key"),
        "CHECK (a <> 13)",
        'CHECK (a <> 13), CONSTRAINT "key" FOREIGN KEY ("parent") REFERENCES "parents" ("id") ON UPDATE CASCADE',
    ),
    "drop_foreign_key_constraint": (
        lambda m: m.drop_foreign_key_constraint("torture", "NEXT"),
        '"next" INTEGER REFERENCES "Torture"(id) ON DELETE CASCADE,',
        '"next" INTEGER,',
    ),
    "drop_foreign_key_constraint, deferred": (
        lambda m: m.drop_foreign_key_constraint("torture", "Parent"),
        """parent INTEGER CONSTRAINT to_parent REFERENCES parents(id)
    ON DELETE SET NULL ON UPDATE SET DEFAULT DEFERRABLE INITIALLY DEFERRED,""",
        "parent INTEGER,",
    ),
    "alter_column_type": (
        lambda m: m.alter_column_type("torture", "AMOUNT", peewee.DecimalField(12, 3)),
        "`amount` DECIMAL(10, 2) CONSTRAINT",
        "`amount` DECIMAL(12, 3) CONSTRAINT",
    ),
    "alter_column_type of none": (
        lambda m: m.alter_column_type("torture", "größe", peewee.BlobField()),
        '"größe" NULL',
        '"größe" BLOB NULL',
    ),
    "add_column_default": (
        lambda m: m.add_column_default("torture", "spare", "it's, (new)"),
        "spare BLOB,",
        "spare BLOB DEFAULT 'it''s, (new)',",
    ),
    "add_column_default in place of one": (
        lambda m: m.add_column_default("torture", 'mixed "case", name', "lower('X')"),
        "DEFAULT 'it''s,  two  spaces\nand a line',",
        "DEFAULT (lower('X')),",
    ),
    "add_column_default in place of a signed one": (
        lambda m: m.add_column_default("torture", "amount", 7),
        "DEFAULT -0.5",
        "DEFAULT 7",
    ),
    "add_column_default in place of one without spaces": (
        lambda m: m.add_column_default("torture", "maybe", peewee.SQL("CURRENT_DATE")),
        "DEFAULT''CHECK",
        "DEFAULT CURRENT_DATE CHECK",
    ),
    "drop_column_default": (
        lambda m: m.drop_column_default("torture", "open"),
        "[open] TEXT DEFAULT '(' CHECK",
        "[open] TEXT CHECK",
    ),
    "drop_column_default without spaces": (
        lambda m: m.drop_column_default("torture", "maybe"),
        "ROLLBACK DEFAULT''CHECK",
        "ROLLBACK CHECK",
    ),
    "add_not_null": (lambda m: m.add_not_null("torture", "MADE"), "made INTEGER", "made INTEGER NOT NULL"),
    "drop_not_null": (
        lambda m: m.drop_not_null("torture", "maybe"),
        " CONSTRAINT there NOT NULL ON CONFLICT ROLLBACK DEFAULT''",
        " DEFAULT''",
    ),
}


@pytest.mark.parametrize("name", REBUILDS)
def test_a_rebuild_changes_only_what_the_operation_says(database: peewee.SqliteDatabase, name: str) -> None:
    operation, old, new = REBUILDS[name]
    before = state(database)

    run(database, operation)

    assert difference(before, state(database)) == {TABLE: (TORTURE, edited(old, new))}
    sound(database)


@pytest.mark.parametrize("name", REBUILDS)
def test_after_a_rebuild_triggers_views_cascades_and_the_counter_work(
    database: peewee.SqliteDatabase, name: str
) -> None:
    run(database, REBUILDS[name][0])

    database.pragma("foreign_keys", 1)
    database.execute_sql("INSERT INTO v (b) VALUES ('x')")
    assert database.execute_sql("SELECT max(id) FROM torture").fetchone() == (91,)  # 90 was deleted
    assert ("made, x",) in database.execute_sql("SELECT what FROM log").fetchall()
    with pytest.raises(peewee.IntegrityError, match="not \\(99\\)"):
        database.execute_sql("UPDATE torture SET a = 99")
    database.execute_sql("INSERT INTO children VALUES (3, 40)")
    assert database.execute_sql("SELECT made FROM torture WHERE id = 40").fetchone() == (1,)
    assert database.execute_sql("SELECT count(*) FROM w").fetchone() == (4,)
    database.execute_sql("DELETE FROM torture WHERE id = 9")
    assert database.execute_sql("SELECT id FROM children").fetchall() == [(1,), (3,)]
    assert ("gone",) in database.execute_sql("SELECT what FROM log").fetchall()


def test_alter_column_type_converts_by_affinity_and_by_the_given_cast(database: peewee.SqliteDatabase) -> None:
    run(database, lambda m: m.drop_constraint("torture", "amount_range"))
    run(database, lambda m: m.alter_column_type("torture", "amount", peewee.TextField()))
    assert database.execute_sql("SELECT amount FROM torture ORDER BY id").fetchall() == [("1.25",), ("2",), ("-0.5",)]

    run(database, lambda m: m.alter_column_type("torture", "amount", peewee.IntegerField(), "amount * 100"))
    assert database.execute_sql("SELECT amount FROM torture ORDER BY id").fetchall() == [(125,), (200,), (-50,)]
    assert "`amount` INTEGER DEFAULT -0.5" in state(database)[TABLE]
    sound(database)


@pytest.mark.parametrize(
    ("default", "written"),
    [
        (True, "1"),
        (-1.5, "-1.5"),
        (b"\0'", "X'0027'"),
        ("007", "'007'"),
        ("", "''"),
        ("'it''s'", "'it''s'"),
        ("rock'n'", "'rock''n'''"),
        (":)", "':)'"),
        ("Untitled (draft)", "'Untitled (draft)'"),
        ("(1) + (2)", "'(1) + (2)'"),
        ("(1 + 2)", "(1 + 2)"),
        ("strftime('%s', 'now')", "(strftime('%s', 'now'))"),
        (lambda: 5, "5"),
        (peewee.SQL("current_timestamp"), "current_timestamp"),
        (peewee.SQL("1 + ?", [2]), "(1 + 2)"),
        (peewee.fn.lower("X"), "(lower('X'))"),
    ],
)
def test_a_default_is_a_value_or_sql(database: peewee.SqliteDatabase, default: Any, written: str) -> None:
    run(database, lambda m: m.add_column_default("log", "what", default))
    assert state(database)["sqlite_master table log"] == f'CREATE TABLE "log" (what TEXT DEFAULT {written})'
    with pytest.raises(ValueError, match="must be not None"):
        run(database, lambda m: m.add_column_default("log", "what", None))
