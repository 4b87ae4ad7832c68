"""Follow the host's events through what hosts do to them, and keep references from meaning another store's blocks.

The triggers tell a table that is called `events` from one that once was, and take every session id that can be one.
Blocks are numbered from a start of the store's own.
"""

# ruff: noqa: S608  the triggers are put together from this file's own parts
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peewee import SqliteDatabase
    from playhouse.migrate import SchemaMigrator

speaks_for = (1,)  # whose notices() knows less of events
optional = ("usage_events_inserted", "usage_events_deleted", "usage_events_moved")  # a host may want none of them

# Numbers that the store keeps, by name:
# - `first_block`, `old_blocks`: blocks up to the second have numbers of version 2, and may get those after the first;
# - `counter_before`: that of the blocks, for `down`; NULL is none;
# - `events_indexed`: 1 if the events of one session are found without reading the others;
# - `session:` and an id: how many events it has left, NULL while they are to be counted. That holds within the
#   statement that counted them and no longer, since others may write with triggers off; 'now' stays the same in one.
STATE = """
CREATE TABLE usage_store_state (
  name TEXT NOT NULL PRIMARY KEY,
  number INTEGER,
  counted_at REAL
) STRICT, WITHOUT ROWID
"""

# Nine digits: two stores hardly share numbers, and a reference (19 bytes at most) has room to grow. Rolled back and
# applied again, the numbers go on.
COUNTER = "(SELECT seq FROM sqlite_sequence WHERE name = 'usage_snapshot_blocks')"
LAST = f"max(ifnull((SELECT max(id) FROM usage_snapshot_blocks), 0), ifnull({COUNTER}, 0))"
NUMBERS = f"""
INSERT INTO usage_store_state (name, number) VALUES
  ('first_block', iif({LAST} < 100000000, 100000000 + abs(random() % 900000000), {LAST})),
  ('old_blocks', ifnull((SELECT max(id) FROM usage_snapshot_blocks WHERE id < 100000000), 0)),
  ('counter_before', {COUNTER}),
  ('events_indexed', 0)
"""
NUMBER = "(SELECT number FROM usage_store_state WHERE name = '{}')"
FORGET_COUNTER = "DELETE FROM sqlite_sequence WHERE name = 'usage_snapshot_blocks'"
RAISED_COUNTER = f"""
INSERT INTO sqlite_sequence (name, seq)
VALUES ('usage_snapshot_blocks', {NUMBER.format("first_block")} + {NUMBER.format("old_blocks")})
"""
COUNTER_BEFORE = f"""
INSERT INTO sqlite_sequence (name, seq)
SELECT 'usage_snapshot_blocks', max(ifnull(before, 0), ifnull(last, 0))
FROM (SELECT {NUMBER.format("counter_before")} AS before, (SELECT max(id) FROM usage_snapshot_blocks) AS last)
WHERE before IS NOT NULL OR last IS NOT NULL
"""

INDEXED = """
UPDATE usage_store_state SET number = EXISTS (
  SELECT 1 FROM pragma_index_list('events', 'main') AS i, pragma_index_info(i.name, 'main') AS c
  WHERE NOT i.partial AND c.seqno = 0 AND c.name = 'session_id' COLLATE NOCASE)
WHERE name = 'events_indexed'
"""

# The session of an event is its text, or its integer in digits. The column may have any collation; sessions have none.
ID = "typeof({0}) IN ('text', 'integer') AND {0} COLLATE BINARY <> ''"
NEW = "CAST(NEW.session_id AS TEXT)"

# Whether a session has events left: by the host's index; or among the first hundred events, which are all of a small
# table, and hold the next one of most sessions where the oldest are deleted first; or by the counts of this statement.
BY_INDEX = """(
      EXISTS (SELECT 1 FROM {events} WHERE session_id = {old} AND CAST(session_id AS TEXT) COLLATE BINARY = {old})
      OR EXISTS (SELECT 1 FROM {events}
        WHERE session_id = +CAST({old} AS INTEGER) AND CAST(session_id AS TEXT) COLLATE BINARY = {old}))"""
AMONG_FIRST = """EXISTS (SELECT 1 FROM (SELECT session_id AS id FROM {events} LIMIT 100)
      WHERE typeof(id) IN ('text', 'integer') AND CAST(id AS TEXT) COLLATE BINARY = {old})"""
COUNTED = "usage_store_state WHERE name = 'session:' || {old} AND counted_at = julianday('now')"
WITHOUT_INDEX = f"{NUMBER.format('events_indexed')} = 0"
GONE = f"""CASE
    WHEN EXISTS (SELECT 1 FROM {COUNTED}) THEN (SELECT number = 0 FROM {COUNTED})
    WHEN {WITHOUT_INDEX} THEN NOT {AMONG_FIRST}
    ELSE NOT {BY_INDEX} END"""

ADD = f"""UPDATE usage_store_state SET number = number + 1
  WHERE name = 'session:' || {NEW} AND counted_at = julianday('now')"""
# Where nothing tells, the events of all sessions are counted in one pass, and what the statement does next counts on.
TAKE = (
    """UPDATE usage_store_state SET number = number - 1
  WHERE name = 'session:' || {old} AND counted_at = julianday('now')""",
    f"""INSERT INTO usage_store_state (name, number, counted_at) SELECT 'session:' || {{old}}, NULL, julianday('now')
  WHERE {WITHOUT_INDEX} AND NOT EXISTS (SELECT 1 FROM {COUNTED}) AND NOT {AMONG_FIRST}
    AND EXISTS (SELECT 1 FROM {{events}} LIMIT 1 OFFSET 100)
  ON CONFLICT (name) DO UPDATE SET number = NULL, counted_at = excluded.counted_at""",
    f"""INSERT INTO usage_store_state (name, number, counted_at)
  SELECT 'session:' || (e.session_id COLLATE BINARY), count(*), asked.counted_at
  FROM usage_store_state AS asked CROSS JOIN {{events}} AS e
  WHERE asked.name = 'session:' || {{old}} AND asked.number IS NULL AND {ID.format("e.session_id")} GROUP BY 1
  ON CONFLICT (name) DO UPDATE SET number = excluded.number, counted_at = excluded.counted_at""",
    "UPDATE usage_store_state SET number = 0 WHERE name = 'session:' || {old} AND number IS NULL",
)

# Read last, and only where a session would go: whoever renames the table keeps the triggers on it.
CALLED_EVENTS = """EXISTS (SELECT 1 FROM sqlite_master
    WHERE type = 'trigger' AND name = 'usage_events_deleted' AND tbl_name = 'events' COLLATE NOCASE)"""
# ON CONFLICT DO NOTHING, because an outer INSERT OR REPLACE would turn INSERT OR IGNORE into REPLACE.
REGISTER = f"INSERT INTO usage_sessions (session_id) VALUES ({NEW}) ON CONFLICT DO NOTHING"
REMOVE = f"DELETE FROM usage_sessions WHERE session_id = {{old}} AND {GONE}\n    AND {CALLED_EVENTS}"
TAKE_ALONG = f"""UPDATE usage_snapshots SET session_id = {NEW} WHERE session_id = {{old}} AND {GONE}
    AND {CALLED_EVENTS}"""

# By name: the event, the condition, the actions, and the session of the event that was.
TRIGGERS = {
    "usage_events_inserted": ("INSERT", ID.format("NEW.session_id"), (REGISTER, ADD), ""),
    "usage_events_deleted": (
        "DELETE",
        ID.format("OLD.session_id") + f"\n  AND CASE WHEN {WITHOUT_INDEX} THEN true ELSE NOT {BY_INDEX} END",
        (*TAKE, REMOVE),
        "CAST(OLD.session_id AS TEXT)",
    ),
    # A session whose last event moves to another session takes its snapshots along.
    "usage_events_moved": (
        "UPDATE{of}",
        f"{ID.format('NEW.session_id')} AND {NEW} COLLATE BINARY IS NOT {{old}}",
        (REGISTER, ADD, *TAKE, TAKE_ALONG, REMOVE),
        "iif(typeof(OLD.session_id) IN ('text', 'integer'), CAST(OLD.session_id AS TEXT), NULL)",
    ),
}

BACKFILL = f"""
INSERT INTO usage_sessions (session_id)
SELECT DISTINCT CAST(session_id AS TEXT) COLLATE BINARY FROM events WHERE {ID.format("session_id")}
ON CONFLICT DO NOTHING
"""

# Those of version 1, as migration 001 makes them.
BEFORE = {
    "usage_events_inserted": """
CREATE TRIGGER usage_events_inserted AFTER INSERT ON {events}
WHEN typeof(NEW.session_id) = 'text' AND NEW.session_id <> ''
BEGIN
  INSERT INTO usage_sessions (session_id) VALUES (NEW.session_id) ON CONFLICT DO NOTHING;
END
""",
    "usage_events_deleted": """
CREATE TRIGGER usage_events_deleted AFTER DELETE ON {events}
WHEN NOT EXISTS (SELECT 1 FROM {events} WHERE session_id = OLD.session_id)
BEGIN
  DELETE FROM usage_sessions WHERE session_id = OLD.session_id;
END
""",
    "usage_events_moved": """
CREATE TRIGGER usage_events_moved AFTER UPDATE OF session_id ON {events}
WHEN NEW.session_id IS NOT OLD.session_id AND typeof(NEW.session_id) = 'text' AND NEW.session_id <> ''
BEGIN
  INSERT INTO usage_sessions (session_id) VALUES (NEW.session_id) ON CONFLICT DO NOTHING;
  UPDATE usage_snapshots SET session_id = NEW.session_id WHERE session_id = OLD.session_id
    AND NOT EXISTS (SELECT 1 FROM {events} WHERE session_id = OLD.session_id);
  DELETE FROM usage_sessions WHERE session_id = OLD.session_id
    AND NOT EXISTS (SELECT 1 FROM {events} WHERE session_id = OLD.session_id);
END
""",
}

ON_TABLES = "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger' AND name = ?"
KINDS = """
SELECT t.type, max(c.hidden) FILTER (WHERE c.name = 'session_id' COLLATE NOCASE AND c.hidden <> 1)
FROM pragma_table_list AS t LEFT JOIN pragma_table_xinfo(t.name, 'main') AS c
WHERE t.schema = 'main' AND t.name = ? COLLATE NOCASE GROUP BY t.name
"""
ODD_IDS = """
SELECT 1 FROM (SELECT session_id AS id FROM events LIMIT 1000) WHERE typeof(id) IN ('blob', 'real') LIMIT 1
"""
MANY = "SELECT 1 FROM events LIMIT 1 OFFSET 10000"


def up(migrator: SchemaMigrator, db: SqliteDatabase) -> None:  # noqa: ARG001  the runner's signature
    """Choose where this store's blocks are numbered from, and renew the triggers on events."""
    for sql in (STATE, NUMBERS, FORGET_COUNTER, RAISED_COUNTER, INDEXED):
        db.execute_sql(sql)
    for name, table in followed(db):
        db.execute_sql(f"DROP TRIGGER {name}")
        db.execute_sql(event_triggers(db, table)[name])


def down(migrator: SchemaMigrator, db: SqliteDatabase) -> None:  # noqa: ARG001  the runner's signature
    """Bring back the triggers of version 1, where that could have made them, and the counter of the blocks."""
    for name, table in followed(db):
        db.execute_sql(f"DROP TRIGGER {name}")
        if kind_of(db, table) == ("table", 0):
            db.execute_sql(BEFORE[name].format(events=quoted(table)))
    for sql in (FORGET_COUNTER, COUNTER_BEFORE, "DROP TABLE usage_store_state"):
        db.execute_sql(sql)


def followed(db: SqliteDatabase) -> list[tuple[str, str]]:
    """Give the triggers on events that are there, and their tables. Reads only."""
    return [row for name in TRIGGERS for row in db.execute_sql(ON_TABLES, (name,)).fetchall()]


def event_triggers(db: SqliteDatabase, table: str = "events") -> dict[str, str]:
    """Give the statements that make the triggers on a table, by their names. Reads only."""
    generated = kind_of(db, table) not in (("table", 0), ("table", None))
    of = "" if generated else " OF session_id"  # no statement names a generated column
    made = {}
    for name, (event, condition, actions, old) in TRIGGERS.items():
        body = ";\n  ".join(actions)
        sql = f"CREATE TRIGGER {name} AFTER {event} ON {{events}}\nWHEN {condition}\nBEGIN\n  {body};\nEND"
        made[name] = sql.format(events=quoted(table), of=of, old=old)
    return made


def quoted(table: str) -> str:
    """Give a table's name as it stands in a trigger: as ours, or as ALTER TABLE ... RENAME writes it."""
    return "events" if table.lower() == "events" else '"' + table.replace('"', '""') + '"'


def kind_of(db: SqliteDatabase, table: str) -> tuple[str, int | None]:
    """Give what a name stands for, and 0 for a stored `session_id`, 2 or 3 for a generated one, None for none."""
    row = db.execute_sql(KINDS, (table,)).fetchone()
    return ("nothing", None) if row is None else (row[0], row[1])


def host_has_events(db: SqliteDatabase) -> bool:
    """Tell whether there is an events table whose sessions can be followed. Reads only."""
    kind, session_id = kind_of(db, "events")
    return kind == "table" and session_id is not None


def notices(db: SqliteDatabase) -> Iterator[str]:
    """Say where snapshots' sessions come from, if not from the host's events, and what keeps events from it."""
    by_hand = "sessions are those that register_session() makes known"
    kind, session_id = kind_of(db, "events")
    if kind in ("view", "virtual") and session_id is not None:
        yield f"events is a {kind}{' table' * (kind == 'virtual')}, which can have no triggers: {by_hand}"
    elif not host_has_events(db):
        yield f"no events table with a session_id: {by_hand}"
    else:
        if [table.lower() for _, table in followed(db)] != ["events"] * len(TRIGGERS):
            yield "the events table is not followed: link_events() does it"
        if db.execute_sql(ODD_IDS).fetchone():
            yield "events has session ids that are blobs or fractions, which no session has: they are not followed"
        if db.execute_sql(f"SELECT 1 WHERE {WITHOUT_INDEX}").fetchone() and db.execute_sql(MANY).fetchone():
            yield (
                "events has no index on session_id, so deleting events may read all of them: "
                "CREATE INDEX idx_events_session_id ON events(session_id)"
            )
