"""Follow the host's events: their sessions are registered, and end with their last event.

An insert registers the session and takes a share of its row until the end of the transaction. A delete leaves a note.
At COMMIT, the note is settled: a session without events is deleted, unless others hold its row. Then the note stays,
and maintenance settles it. So nothing waits for a session's row while the host's transaction goes on.
"""

# ruff: noqa: S608  the statements are put together from this file's own parts
from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from peewee import PostgresqlDatabase
    from playhouse.migrate import SchemaMigrator

optional = (  # triggers and functions: a host may want none of them
    "usage_events_inserted",
    "usage_events_deleted",
    "usage_events_moved",
    "usage_events_truncated",
    "usage_sessions_settled",
)

# A transaction has one note of a session, so notes never wait for those of others. `moved_to` is where the last event
# went, and takes the snapshots.
ENDED = """
CREATE TABLE usage_sessions_ended (
  session_id text NOT NULL,
  noted_by xid8 NOT NULL DEFAULT pg_current_xact_id(),
  moved_to text,
  PRIMARY KEY (session_id, noted_by)
)
"""

# The functions name the schemas, because they run with a search path of their own: so their caller needs no rights on
# our tables, and no other table or operator can take the place of one that is meant.
FUNCTION = """
CREATE OR REPLACE FUNCTION {ours}.{name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $function$
{body}
$function$
"""
REVOKE = "REVOKE ALL ON FUNCTION {ours}.{name}() FROM PUBLIC"

# What no session can be must not fail the host's insert. An index takes no text of more than 2,704 bytes.
VALID = "{0} <> '' AND octet_length({0}) <= 1000"

# It is done again only if others delete the session in between.
SHARE = """FOR turn IN 1..100 LOOP
      PERFORM 1 FROM {ours}.usage_sessions AS u WHERE u.session_id = begun FOR KEY SHARE;
      EXIT WHEN FOUND;
      INSERT INTO {ours}.usage_sessions (session_id) VALUES (begun) ON CONFLICT DO NOTHING;
      EXIT WHEN FOUND;
    END LOOP;"""

INSERTED = f"""DECLARE
  begun text := NEW.session_id;
BEGIN
  IF {VALID.format("begun")} THEN
    {SHARE}
  END IF;
  RETURN NULL;
END"""

# Whoever renames the table keeps the triggers on it.
IS_EVENTS = "to_regclass({called}) = TG_RELID"
IS_PART = "to_regclass({called}) IN (SELECT TG_RELID::regclass UNION ALL SELECT pg_partition_ancestors(TG_RELID))"
NOTE = """INSERT INTO {ours}.usage_sessions_ended AS n (session_id)
    {rows}
    ON CONFLICT (session_id, noted_by) DO UPDATE SET moved_to = NULL WHERE n.moved_to IS NOT NULL;"""
NOTED = """BEGIN
  IF {condition} THEN
    {note}
  END IF;
  RETURN NULL;
END"""
IDS = "SELECT DISTINCT g.session_id::text FROM {0} AS g WHERE " + VALID.format("g.session_id::text")
DELETED = NOTED.format(condition=IS_EVENTS, note=NOTE.replace("{rows}", IDS.format("gone")))
ROW_DELETED = NOTED.format(
    condition=f"{VALID.format('OLD.session_id::text')} AND {IS_PART}",
    note=NOTE.replace("{rows}", "VALUES (OLD.session_id::text)"),
)
TRUNCATED = NOTED.format(condition=IS_EVENTS, note=NOTE.replace("{rows}", IDS.format("{events}")))

MOVED = f"""DECLARE
  begun text := NEW.session_id;
  ended text := OLD.session_id;
BEGIN
  IF {VALID.format("begun")} THEN
    {SHARE}
    IF {VALID.format("ended")} AND {IS_PART} THEN
      INSERT INTO {{ours}}.usage_sessions_ended AS n (session_id, moved_to) VALUES (ended, begun)
      ON CONFLICT (session_id, noted_by) DO UPDATE SET moved_to = begun WHERE n.moved_to IS DISTINCT FROM begun;
    END IF;
  END IF;
  RETURN NULL;
END"""

# Nothing waits here: the locks of others are skipped. With a snapshot that stays the same, the events of others cannot
# be seen, so the note stays. Who only has an old snapshot of events keeps the session's row, and is seen by that.
SNAPSHOTS = """DELETE FROM {ours}.usage_snapshots AS s WHERE s.session_id = NEW.session_id AND s.id IN (
        SELECT h.id FROM {ours}.usage_snapshots AS h WHERE h.session_id = NEW.session_id FOR UPDATE SKIP LOCKED)"""
SETTLED = f"""DECLARE
  target text;
BEGIN
  IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
    RETURN NULL;
  END IF;
  SELECT n.moved_to INTO target FROM {{ours}}.usage_sessions_ended AS n
  WHERE n.session_id = NEW.session_id AND n.noted_by = NEW.noted_by;
  IF NOT FOUND OR to_regclass({{called}}) IS NULL THEN
    RETURN NULL;
  END IF;
  LOCK TABLE {{events}} IN ACCESS SHARE MODE;
  PERFORM 1 FROM {{ours}}.usage_sessions AS u WHERE u.session_id = NEW.session_id FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    IF EXISTS (SELECT 1 FROM {{ours}}.usage_sessions AS u WHERE u.session_id = NEW.session_id) THEN
      RETURN NULL;
    END IF;
  ELSIF NOT EXISTS (SELECT 1 FROM {{events}} AS e WHERE e.session_id = NEW.session_id::{{type}}
      AND e.session_id::text COLLATE "C" = NEW.session_id) THEN
    PERFORM 1 FROM {{ours}}.usage_sessions AS u WHERE u.session_id = target FOR KEY SHARE SKIP LOCKED;
    IF FOUND THEN
      WITH moved AS ({SNAPSHOTS}
        RETURNING s.id, s.snapshot_data, s.snapshot_type, s.timestamp)
      INSERT INTO {{ours}}.usage_snapshots (id, session_id, snapshot_data, snapshot_type, timestamp)
      SELECT m.id, target, m.snapshot_data, m.snapshot_type, m.timestamp FROM moved AS m;
    ELSIF EXISTS (SELECT 1 FROM {{ours}}.usage_sessions AS u WHERE u.session_id = target) THEN
      RETURN NULL;
    ELSE
      {SNAPSHOTS};
    END IF;
    IF EXISTS (SELECT 1 FROM {{ours}}.usage_snapshots AS s WHERE s.session_id = NEW.session_id) THEN
      RETURN NULL;
    END IF;
    DELETE FROM {{ours}}.usage_sessions AS u WHERE u.session_id = NEW.session_id;
  END IF;
  DELETE FROM {{ours}}.usage_sessions_ended AS n
  WHERE n.session_id = NEW.session_id AND n.noted_by = NEW.noted_by;
  RETURN NULL;
END"""

# By name: when the trigger fires, and its function. A trigger of a row costs least for one event, and a trigger of a
# statement for many. Only those of a row are also on the parts of a partitioned table.
OTHER_ID = 'OLD.session_id::text COLLATE "C" IS DISTINCT FROM NEW.session_id::text COLLATE "C"'
TRIGGERS = {
    "usage_events_inserted": ("TRIGGER {name} AFTER INSERT ON {events} FOR EACH ROW", INSERTED),
    "usage_events_deleted": (
        "TRIGGER {name} AFTER DELETE ON {events} REFERENCING OLD TABLE AS gone FOR EACH STATEMENT",
        DELETED,
    ),
    "usage_events_moved": (f"TRIGGER {{name}} AFTER UPDATE ON {{events}} FOR EACH ROW WHEN ({OTHER_ID})", MOVED),
    "usage_events_truncated": ("TRIGGER {name} BEFORE TRUNCATE ON {events} FOR EACH STATEMENT", TRUNCATED),
    "usage_sessions_settled": (
        """CONSTRAINT TRIGGER {name} AFTER INSERT OR UPDATE ON {ours}.usage_sessions_ended
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW""",
        SETTLED,
    ),
}
OF_PARTS = {"usage_events_deleted": ("TRIGGER {name} AFTER DELETE ON {events} FOR EACH ROW", ROW_DELETED)}

# The table that is called events on the search path, never a temporary one.
EVENTS = """
SELECT quote_ident(current_schema()), quote_ident(n.nspname), c.relkind = 'r' AND NOT EXISTS (
    SELECT 1 FROM pg_inherits AS i WHERE i.inhrelid = c.oid),
  (SELECT quote_ident(tn.nspname) || '.' || quote_ident(t.typname)
    FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid JOIN pg_namespace AS tn ON tn.oid = t.typnamespace
    WHERE a.attrelid = c.oid AND a.attname = 'session_id' AND NOT a.attisdropped AND (
      t.typcategory IN ('S', 'E') OR coalesce(nullif(t.typbasetype, 0), t.oid)
      IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'uuid'::regtype))),
  c.relkind IN ('r', 'p') AND has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'TRIGGER')
    AND NOT EXISTS (SELECT 1 FROM pg_trigger AS g JOIN pg_proc AS p ON p.oid = g.tgfoid
      JOIN pg_namespace AS pn ON pn.oid = p.pronamespace
      WHERE g.tgrelid = c.oid AND g.tgname = 'usage_events_inserted' AND pn.nspname <> current_schema())
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = 'events' AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname = ANY (current_schemas(false))
ORDER BY array_position(current_schemas(false), n.nspname) LIMIT 1
"""
# Those of the parts come and go with those of their table.
MADE = """
SELECT quote_ident(g.tgname), g.tgrelid::regclass::text
FROM pg_trigger AS g JOIN pg_proc AS p ON p.oid = g.tgfoid JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = current_schema() AND p.proname = ANY (%s) AND g.tgparentid = 0
"""

BACKFILL = f"""
INSERT INTO usage_sessions (session_id)
SELECT DISTINCT e.session_id::text COLLATE "C" FROM {{events}} AS e WHERE {VALID.format("e.session_id::text")}
ON CONFLICT DO NOTHING
"""


class Events(NamedTuple):
    """The host's table: its schema and ours, as SQL names them, and the type of its session_id."""

    ours: str
    schema: str
    whole: bool  # neither partitioned nor a part
    type: str | None  # None: the column is missing, or its values are no session ids
    free: bool  # triggers of ours may be made on it


def up(migrator: SchemaMigrator, db: PostgresqlDatabase) -> None:  # noqa: ARG001  the runner's signature
    """Make the table of notes; follow the host's events, if there are any."""
    db.execute_sql(ENDED)
    if host_has_events(db):
        link_events(db)


def down(migrator: SchemaMigrator, db: PostgresqlDatabase) -> None:  # noqa: ARG001  the runner's signature
    """Remove everything that `up` made; the host's tables stay as they are."""
    unlink_events(db)
    db.execute_sql("DROP TABLE usage_sessions_ended")


def link_events(db: PostgresqlDatabase) -> None:
    """Keep the sessions in step with the host's events: triggers for those to come, a backfill for those there."""
    unlink_events(db)
    for statements in event_triggers(db).values():
        for sql in statements:
            execute(db, sql)
    register_events(db)


def unlink_events(db: PostgresqlDatabase) -> None:
    """Remove the triggers, on whatever tables they are, and their functions."""
    for trigger, table in db.execute_sql(MADE, (list(TRIGGERS),)).fetchall():
        execute(db, f"DROP TRIGGER {trigger} ON {table}")
    (ours,) = db.execute_sql("SELECT quote_ident(current_schema())").fetchone()
    for name in TRIGGERS:
        execute(db, f"DROP FUNCTION IF EXISTS {ours}.{name}()")


def register_events(db: PostgresqlDatabase) -> None:
    """Register the sessions of the host's events that are there. Reads all events."""
    events = found_events(db)
    if events is not None:
        execute(db, BACKFILL.format(events=f"{events.schema}.events"))


def event_triggers(db: PostgresqlDatabase) -> dict[str, tuple[str, ...]]:
    """Give the statements that make the triggers and their functions, by their names. Reads only."""
    events = found_events(db)
    if events is None:
        return {}
    table = f"{events.schema}.events"
    called = "'" + table.replace("'", "''") + "'"
    parts = {"ours": events.ours, "events": table, "called": called, "type": events.type}
    made: dict[str, tuple[str, ...]] = {}
    for name, (when, body) in (TRIGGERS | ({} if events.whole else OF_PARTS)).items():
        made[name] = (
            FUNCTION.format(ours=events.ours, name=name, body=body.format(**parts)),
            REVOKE.format(ours=events.ours, name=name),
            f"CREATE {when.format(name=name, **parts)} EXECUTE FUNCTION {events.ours}.{name}()",
        )
    return made


def execute(db: PostgresqlDatabase, sql: str) -> None:
    """Run a statement whose names may have a percent sign, which would stand for a parameter."""
    db.execute_sql(sql.replace("%", "%%"))


def found_events(db: PostgresqlDatabase) -> Events | None:
    """Give the events table whose sessions can be followed, or None. Reads only."""
    row = db.execute_sql(EVENTS).fetchone()
    events = None if row is None else Events(*row)
    return events if events is not None and events.free and events.type is not None else None


def host_has_events(db: PostgresqlDatabase) -> bool:
    """Tell whether there is an events table whose sessions can be followed. Reads only."""
    return found_events(db) is not None
