"""More projects for the ready-made migration tests, with schemas in the styles of many applications."""

from __future__ import annotations

from tests.support.migration_projects import ONE, PERSON, SECOND, TEAM, Project, run, two
from tests.support.migrations import python, sql

_DOWN = ["DROP TABLE person", "DROP TABLE team"]
_STATES = "CREATE TABLE job (id INTEGER PRIMARY KEY, state TEXT NOT NULL CHECK (state IN ('new', 'run', 'done')))"
_MAILS = "CREATE TABLE mail (id INTEGER PRIMARY KEY, address TEXT NOT NULL, gone DATETIME)"
_REBUILT = (
    "migrator.rebuild_table('person', " + repr(PERSON.replace("age INTEGER", "age INTEGER CHECK (age > 0)")) + ")"
)

FAULTS_OF_SCHEMAS = {
    "operation_not_run": Project(
        two(_REBUILT), {SECOND: ("up makes operations and does not run them", "migrate(migrator.rebuild_table(...))")}
    ),
    "operation_not_run_in_down": Project(
        two("pass", _REBUILT), {SECOND: ("down makes operations and does not run them", "rebuild_table")}
    ),
    "trigger_without_its_table": Project(
        {
            "001_m": sql(
                TEAM,
                PERSON,
                "CREATE TABLE log (what TEXT)",
                "CREATE TRIGGER t AFTER INSERT ON team BEGIN INSERT INTO log VALUES (NEW.name); END",
                down=["DROP TABLE log", *_DOWN],
            ),
            "002_m": 'deletes = ("log",)\n' + sql("DROP TABLE log", down=["CREATE TABLE log (what TEXT)"]),
        },
        {
            SECOND: (
                "after up, a table or view cannot be used",
                "a row of team cannot be written: no such table: main.log",
            )
        },
    ),
    "view_without_its_column": Project(
        two(run("CREATE VIEW v AS SELECT emial FROM person"), run("DROP VIEW v")),
        {SECOND: ("v cannot be read: no such column: emial", "Change or drop in `up` those that do not")},
    ),
    "foreign_key_without_its_table": Project(
        two(run("CREATE TABLE pet (id INTEGER PRIMARY KEY, p INTEGER REFERENCES persons)"), run("DROP TABLE pet")),
        {SECOND: ("a row of pet cannot be written: no such table: main.persons",)},
    ),
    "full_text_without_its_column": Project(
        {
            "001_m": sql(
                TEAM,
                PERSON,
                "CREATE VIRTUAL TABLE found USING fts5(age, content='person', content_rowid='id')",
                down=["DROP TABLE found", *_DOWN],
            ),
            "002_m": 'deletes = ("person.age",)\n'
            + sql("ALTER TABLE person DROP COLUMN age", down=["ALTER TABLE person ADD COLUMN age INTEGER"]),
        },
        {SECOND: ("found cannot be read: no such column: T.age",)},
    ),
    "full_text_emptied_by_down": Project(
        {
            "001_m": sql(
                TEAM,
                PERSON,
                "CREATE VIRTUAL TABLE found USING fts5(name)",
                "CREATE TRIGGER t AFTER INSERT ON person BEGIN INSERT INTO found VALUES (NEW.name); END",
                down=["DROP TABLE found", *_DOWN],
            ),
            "002_m": python("pass", run("DELETE FROM found")),
        },
        {SECOND: ("found: 0 rows, should be 3", "found: gone: name 'name 1'")},
    ),
    "view_not_made_again": Project(
        {
            "001_m": sql(TEAM, PERSON, "CREATE VIEW v AS SELECT * FROM team", down=["DROP VIEW v", *_DOWN]),
            "002_m": 'drops = ("v",)\n' + sql("DROP VIEW v"),
        },
        {SECOND: ("view v is missing", "Make in `down` again what `up` dropped, exactly as it was.")},
    ),
    "view_in_the_way": Project(
        {
            "001_m": sql(TEAM, PERSON, "CREATE VIEW v AS SELECT * FROM team", down=["DROP VIEW v", *_DOWN]),
            "002_m": sql(TEAM.replace("team", "new"), "DROP TABLE team", "ALTER TABLE new RENAME TO team"),
        },
        {SECOND: ("error in view v", "Drop it before the table is changed, and create it again after that.")},
    ),
    "shorter_list_in_a_check": Project(
        {
            "001_m": sql(_STATES, down=["DROP TABLE job"]),
            "002_m": python(
                f"migrator.migrate(migrator.rebuild_table('job', {_STATES.replace(', ' + repr('done'), '')!r}))"
            ),
        },
        {SECOND: ("up fails on tables that have rows", "CHECK")},
    ),
    "unique_without_its_where": Project(
        {
            "001_m": sql(_MAILS, "CREATE UNIQUE INDEX u ON mail(address) WHERE gone IS NULL", down=["DROP TABLE mail"]),
            "002_m": sql("DROP INDEX u", "CREATE UNIQUE INDEX u ON mail(address)"),
        },
        {SECOND: ("up fails on tables that have rows", "UNIQUE", "same value twice")},
    ),
    "cascade_that_does_not_run": Project(
        two(run("UPDATE team SET id = id + 5000"), run("UPDATE team SET id = id - 5000")),
        {SECOND: ("person has rows that refer to missing rows in team", "no ON UPDATE and no ON DELETE")},
    ),
}

_NOTES = "CREATE TABLE note (id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL, body TEXT)"
_FOUND = "CREATE VIRTUAL TABLE found USING fts5(title, body, content='note', content_rowid='id')"
_ADD = "INSERT INTO found (rowid, title, body) VALUES (NEW.id, NEW.title, NEW.body)"
_REMOVE = "INSERT INTO found (found, rowid, title, body) VALUES ('delete', OLD.id, OLD.title, OLD.body)"
_INDEXED = (
    f"CREATE TRIGGER note_added AFTER INSERT ON note BEGIN {_ADD}; END",
    f"CREATE TRIGGER note_gone AFTER DELETE ON note BEGIN {_REMOVE}; END",
    f"CREATE TRIGGER note_changed AFTER UPDATE ON note BEGIN {_REMOVE}; {_ADD}; END",
)
_NOT_INDEXED = ("DROP TRIGGER note_added", "DROP TRIGGER note_gone", "DROP TRIGGER note_changed", "DROP TABLE found")
_COUNTED = (
    "UPDATE sqlite_sequence SET seq = (SELECT seq FROM sqlite_sequence WHERE name = 'note') WHERE name = 'new'",
    "DROP TABLE note",
    "ALTER TABLE new RENAME TO note",
)

SOUND_STYLES = {
    "full_text": Project(
        {
            "001_m": sql(_NOTES, down=["DROP TABLE note"]),
            "002_m": sql(_FOUND, "INSERT INTO found (found) VALUES ('rebuild')", *_INDEXED, down=_NOT_INDEXED),
            "003_m": sql("UPDATE note SET title = title || '!'", down=["UPDATE note SET title = rtrim(title, '!')"]),
            "004_m": sql(
                *_NOT_INDEXED,
                _NOTES.replace("note", "new").replace("body TEXT", "body TEXT, pinned INTEGER NOT NULL DEFAULT 0"),
                "INSERT INTO new (id, title, body) SELECT id, title, body FROM note",
                *_COUNTED,
                _FOUND.replace("id')", "id', tokenize='porter')"),
                "INSERT INTO found (found) VALUES ('rebuild')",
                *_INDEXED,
                down=[
                    *_NOT_INDEXED,
                    _NOTES.replace("note", "new"),
                    "INSERT INTO new SELECT id, title, body FROM note",
                    *_COUNTED,
                    _FOUND,
                    "INSERT INTO found (found) VALUES ('rebuild')",
                    *_INDEXED,
                ],
            ),
        },
    ),
    "moved_rows": Project(
        {
            "001_m": sql(
                _STATES,
                "CREATE TABLE book (title TEXT NOT NULL, press TEXT)",
                down=["DROP TABLE book", "DROP TABLE job"],
            ),
            "002_m": 'deletes = ("book.press",)\n'
            + sql(
                "CREATE TABLE press (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
                "INSERT INTO press (name) SELECT DISTINCT press FROM book WHERE press IS NOT NULL",
                "ALTER TABLE book ADD COLUMN press_id INTEGER REFERENCES press(id)",
                "UPDATE book SET press_id = (SELECT id FROM press WHERE name = book.press)",
                "ALTER TABLE book DROP COLUMN press",
                down=[
                    "ALTER TABLE book ADD COLUMN press TEXT",
                    "UPDATE book SET press = (SELECT name FROM press WHERE id = book.press_id)",
                    "ALTER TABLE book DROP COLUMN press_id",
                    "DROP TABLE press",
                ],
            ),
            "003_m": 'deletes = ("job",)\n'
            + sql(
                "CREATE TABLE job_done (id INTEGER PRIMARY KEY)",
                "INSERT INTO job_done SELECT id FROM job WHERE state = 'done'",
                "DELETE FROM job WHERE state = 'done'",
                down=["INSERT INTO job SELECT id, 'done' FROM job_done", "DROP TABLE job_done"],
            ),
        },
    ),
    "many_kinds": Project(
        {
            "001_m": ONE,
            "002_m": sql(
                "CREATE TABLE kv (ns TEXT, k TEXT, v ANY, PRIMARY KEY (ns, k)) STRICT, WITHOUT ROWID",
                "CREATE TABLE part (ns TEXT, k TEXT, n INT, FOREIGN KEY (ns, k) REFERENCES kv ON DELETE CASCADE)",
                "CREATE INDEX odd ON part (n) WHERE n % 2",
                "ALTER TABLE team ADD COLUMN head INTEGER REFERENCES person(id)",
                "ALTER TABLE person ADD COLUMN boss INTEGER REFERENCES person(id)",
                "ALTER TABLE person ADD COLUMN months INTEGER AS (age * 12)",
                down=[
                    "ALTER TABLE person DROP COLUMN months",
                    "ALTER TABLE person DROP COLUMN boss",
                    "ALTER TABLE team DROP COLUMN head",
                    "DROP TABLE part",
                    "DROP TABLE kv",
                ],
            ),
            "003_m": sql("ALTER TABLE person RENAME TO member", down=["ALTER TABLE member RENAME TO person"]),
            "004_m": sql(
                "ALTER TABLE member RENAME COLUMN name TO label",
                down=["ALTER TABLE member RENAME COLUMN label TO name"],
            ),
        },
    ),
}
