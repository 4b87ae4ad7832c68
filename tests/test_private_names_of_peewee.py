"""Check the private and undocumented names of peewee that the package uses. An upgrade that breaks one fails here.

Each check uses only peewee, and its failure names the purpose for which the package needs the name.
"""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import peewee
import pytest
from playhouse import migrate
from playhouse.pool import PooledSqliteDatabase

from tests.support.driver import sqlite3

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.quick

LEANED_ON: dict[str, tuple[str, Callable[[], None]]] = {}


def needed(names: str, why: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register a check for some names, with the purpose for which they are needed."""

    def register(check: Callable[[], None]) -> Callable[[], None]:
        assert names not in LEANED_ON
        LEANED_ON[names] = why, check
        return check

    return register


def memory(**options: Any) -> Any:
    return closing(peewee.SqliteDatabase(":memory:", **options))


class Parent(peewee.Model):
    name = peewee.TextField(default="nobody")

    class Meta:
        table_name = "parents"


class Child(peewee.Model):
    parent = peewee.ForeignKeyField(Parent, on_delete="CASCADE", null=True)

    class Meta:
        table_name = "a_child"  # sorted before its parent


@needed("Database._state as a threading.local", "to let go of the connections of other threads in close_database()")
def _() -> None:
    database: Any = peewee.SqliteDatabase("app.db")
    assert issubclass(type(database._state), threading.local)


@needed("Proxy._callbacks", "to take the callbacks of init_database() off a DatabaseProxy in close_database()")
def _() -> None:
    proxy = peewee.DatabaseProxy()
    proxy.attach_callback(print)
    assert proxy._callbacks == [print]


@needed(
    "SqliteDatabase._pragmas, _timeout, _attached; PooledDatabase._connections, _in_use, _wait_timeout",
    "to point a database at the file of a test, and back",
)
def _() -> None:
    pool: Any = PooledSqliteDatabase("app.db", pragmas={"cache_size": -5}, timeout=7, check_same_thread=False)
    held = vars(pool)
    assert (held["_pragmas"], held["_wait_timeout"], held["_timeout"]) == ([("cache_size", -5)], 7, 5)
    assert (held["_attached"], held["_connections"], held["_in_use"]) == ({}, [], {})
    assert (held["connect_params"], held["deferred"]) == ({"check_same_thread": False}, False)


@needed("PooledDatabase._in_use of PoolConnection", "to close the connections that a pool keeps of threads that ended")
def _() -> None:
    pool: Any = PooledSqliteDatabase(":memory:")
    pool.connect()
    connection = pool.connection()
    assert [used.connection for used in pool._in_use.values()] == [connection]
    pool.close_all()


@needed(
    "SqliteDatabase._aggregates, _collations, _extensions, _functions, _window_functions; Database.query_hooks",
    "to keep what a module registers while a database points at the file of a test",
)
def _() -> None:
    database: Any = peewee.SqliteDatabase(None)
    database.register_aggregate(object, "one")
    database.register_collation(lambda *_: 0, "two")
    database.register_function(print, "three")
    database.register_window_function(object, "four")
    database._extensions.add("five")
    database.query_hooks.append(print)
    held = [getattr(database, f"_{each}") for each in ("aggregates", "collations", "functions", "window_functions")]
    assert [[*each][-1] for each in held] == ["one", "two", "three", "four"]
    database.init(":memory:")
    assert [getattr(database, f"_{each}") for each in ("aggregates", "extensions")] == [held[0], {"five"}]
    assert database.query_hooks == [print]


class Asked(peewee.SqliteDatabase):
    """A database that notes its uses."""

    uses: Any = ()

    def connect(self, *args: Any, **options: Any) -> Any:
        self.uses += ("connect",)
        return super().connect(*args, **options)

    def cursor(self, *args: Any, **options: Any) -> Any:
        self.uses += ("cursor",)
        parent: Any = super()
        return parent.cursor(*args, **options)


@needed("Database.connect, Database.cursor", "to look at each database before it is used, so that some are refused")
def _() -> None:
    uses: list[Callable[[Any], object]] = [
        Asked.connection,
        Asked.cursor,
        Asked.begin,
        lambda database: database.execute_sql("SELECT 1"),
        lambda database: database.connection_context().__enter__(),
        lambda database: database.atomic().__enter__(),
    ]
    for use in uses:
        database: Any = Asked(":memory:")
        use(database)
        assert "connect" in database.uses
        database.uses = ()
        database.execute_sql("SELECT 1")
        assert database.uses == ("cursor",)
        database._state.conn.close()


@needed("Database._state", "to know whether a connection is unused before a fork, and to roll back an unreachable one")
def _() -> None:
    with memory() as database:
        state = database._state
        assert (state.closed, state.conn, state.transactions, state.ctx) == (True, None, [], [])
        database.connect()
        assert state is database._state
        assert state.conn is database.connection()
        assert not state.closed
        with database.transaction():
            assert len(state.transactions) == 1
        with database.connection_context():
            assert len(state.ctx) == 1


@needed("Database._state, made anew", "to give a second database of the same kind a connection of its own")
def _() -> None:
    for thread_safe in (True, False):
        with memory(thread_safe=thread_safe) as database:
            database.connect()
            fresh = type(database._state)()
            assert (fresh.closed, fresh.conn, fresh.transactions) == (True, None, [])
            assert not database.is_closed()


@needed("Database._lock, Database.thread_safe", "to free a lock after a fork, if a thread of the parent held it")
def _() -> None:
    with memory() as database:
        assert database.thread_safe
        assert type(database._lock) is type(threading.Lock())
        database._lock = held = threading.Lock()
        with held:
            thread = threading.Thread(target=lambda: (database.connect(), database.close()))
            thread.start()
            thread.join(0.05)
            assert thread.is_alive(), "connect() does not take the lock"
        thread.join()
    with memory(thread_safe=False) as database:
        assert not database.thread_safe


@needed(
    "Database._connect, Database._close", "to open files by our own connections, and to look at a file after closing"
)
def _() -> None:
    made, closed = [], []

    class Database(peewee.SqliteDatabase):
        def _connect(self) -> Any:
            made.append(super()._connect())  # type: ignore[misc]
            return made[-1]

        def _close(self, conn: Any) -> None:
            super()._close(conn)  # type: ignore[misc]
            closed.append(conn)

    database = Database(":memory:")
    assert database.connection() is made[0]  # type: ignore[no-untyped-call]
    database.close()
    assert closed == made
    with pytest.raises(sqlite3.ProgrammingError):
        made[0].execute("SELECT 1")


@needed("SqliteDatabase._add_conn_hooks", "to give our own connections a host's pragmas, functions and attached files")
def _() -> None:
    database: Any = peewee.SqliteDatabase(":memory:", pragmas={"cache_size": -77})
    database.register_function(lambda: 5, "five", 0)
    database.attach(":memory:", "other")
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        database._add_conn_hooks(connection)
        assert connection.execute("PRAGMA cache_size").fetchone() == (-77,)
        assert connection.execute("SELECT five()").fetchone() == (5,)
        assert [row[1] for row in connection.execute("PRAGMA database_list")] == ["main", "other"]


@needed("SqliteDatabase._initialize_connection", "to open a copy without what a subclass does at connecting")
def _() -> None:
    class Asking(peewee.SqliteDatabase):
        def _initialize_connection(self, conn: Any) -> None:
            conn.execute("SELECT * FROM missing")

    database: Any = Asking(":memory:")
    with pytest.raises(peewee.OperationalError):
        database.connect()
    database.close()
    vars(database)["_initialize_connection"] = lambda _: peewee.SqliteDatabase._initialize_connection(database, _)  # type: ignore[attr-defined]
    database.connect()
    assert database.execute_sql("SELECT 1").fetchone() == (1,)
    database.close()


@needed("SqliteDatabase._pragmas", "to open a second connection with the pragmas of the key alone")
def _() -> None:
    for given in ({"cache_size": -77}, [("cache_size", -77)]):
        with memory(pragmas=given) as database:
            assert database._pragmas == [("cache_size", -77)]
            database._pragmas = [("cache_size", -55)]
            assert database.pragma("cache_size") == -55
    with memory() as database:
        assert [*database._pragmas] == []


@needed("SqliteDatabase._attached", "to open a second connection without the files that are attached to the first")
def _() -> None:
    with memory() as database:
        database.attach(":memory:", "other")
        assert database._attached == {"other": ":memory:"}
        database._attached = {}
        assert [row[1] for row in database.execute_sql("PRAGMA database_list")] == ["main"]


@needed("PooledSqliteDatabase._connections, ._in_use", "to open a second connection that is not in the pool")
def _() -> None:
    pool: Any = PooledSqliteDatabase(":memory:")
    first = pool.connection()
    pool.close()
    assert len(pool._connections) == 1
    copy: Any = PooledSqliteDatabase.__new__(PooledSqliteDatabase)
    vars(copy).update(vars(pool), _state=type(pool._state)(), _connections=[], _in_use={})
    second = copy.connection()
    assert second is not first
    assert (len(copy._in_use), len(pool._in_use), len(pool._connections)) == (1, 0, 1)
    copy.close()
    second.close()
    assert pool.connection() is first
    pool.close_all()


@needed("vars(Database), Database.connect_params, .database", "to make a database like another one, with its functions")
def _() -> None:
    with memory(timeout=7) as database:
        database.register_function(lambda: 5, "five", 0)
        database.connect()
        copy: Any = peewee.SqliteDatabase.__new__(peewee.SqliteDatabase)
        vars(copy).update(
            vars(database),
            database="file::memory:",
            connect_params={**database.connect_params, "uri": True},
            _state=type(database._state)(),
            query_hooks=[],
        )
        with closing(copy):
            assert copy.execute_sql("SELECT five()").fetchone() == (5,)
            assert copy.timeout == 7
            assert copy.connection() is not database.connection()


@needed("Database.query_hooks, QueryEvent", "to name the statement at which a migration failed")
def _() -> None:
    events: list[Any] = []
    with memory() as database:
        database.query_hooks.append(events.append)
        database.execute_sql("SELECT 1")
        with pytest.raises(peewee.OperationalError) as caught:
            database.execute_sql("no sql", ())
    assert [(event.sql, event.exception) for event in events] == [("SELECT 1", None), ("no sql", caught.value)]
    assert isinstance(events[0], peewee.QueryEvent)


@needed(
    "__exception_wrapper__, .orig", "to raise peewee's errors from executemany(), and to read SQLite's code in them"
)
def _() -> None:
    wrapper: Any = peewee.__exception_wrapper__  # type: ignore[attr-defined]
    raised = sqlite3.IntegrityError("no")
    with pytest.raises(peewee.IntegrityError) as caught, wrapper:
        raise raised
    assert caught.value.orig is raised  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="another"), wrapper:
        raise ValueError("another")


@needed(
    "transaction().commit(begin=False), .rollback(begin=False), pop_transaction()", "to raise the first error of a run"
)
def _() -> None:
    told: list[str] = []
    with memory() as database:
        for end in ("rollback", "commit"):
            step = database.transaction("IMMEDIATE")
            step.__enter__()
            database.after_commit(lambda: told.append("committed"))
            assert database.connection().in_transaction
            assert database.pop_transaction() is step
            assert not database.in_transaction()
            getattr(step, end)(begin=False)
            assert not database.connection().in_transaction
    assert told == ["committed"], "a rollback forgets what was to be called"


@needed("savepoint().commit(begin=False), .rollback(begin=False)", "to undo a part of an open transaction")
def _() -> None:
    with memory() as database, database.transaction():
        database.execute_sql("CREATE TABLE t (a)")
        step = database.savepoint()
        step.__enter__()
        database.execute_sql("INSERT INTO t VALUES (1)")
        step.rollback(begin=False)
        step.commit(begin=False)
        assert database.connection().in_transaction
        with pytest.raises(peewee.OperationalError, match="no such savepoint"):
            step.commit(begin=False)
        assert database.execute_sql("SELECT count(*) FROM t").fetchone() == (0,)


@needed("manual_commit(), which connecting forgets", "to connect before a block in which the caller says BEGIN")
def _() -> None:
    with memory() as database:
        block = database.manual_commit()
        block.__enter__()
        assert database.in_transaction()
        database.connect()
        assert not database.in_transaction()
        with database.manual_commit():
            assert database.in_transaction()


@needed("DatabaseProxy.obj, Database.deferred", "to know whether a DatabaseProxy is initialised")
def _() -> None:
    proxy = peewee.DatabaseProxy()
    assert proxy.obj is None
    database = peewee.SqliteDatabase(None)
    assert database.deferred
    database.init(":memory:")
    assert not database.deferred
    proxy.initialize(database)
    assert proxy.obj is database


@needed("Model.__data__, Model._dirty, Model.__rel__", "to make models of stored rows in a quarter of the time")
def _() -> None:
    by_peewee: Any = Parent(__no_default__=True)
    assert vars(by_peewee) == {"__data__": {}, "_dirty": set(), "__rel__": {}}, "a model has more attributes by now"
    model: Any = Parent.__new__(Parent)
    model.__data__, model._dirty, model.__rel__ = {"id": 4, "name": "x"}, set(), {}
    assert (model.id, model.name, model.dirty_fields) == (4, "x", [])


@needed("Model._dirty, Model.dirty_fields", "to tell a text that was assigned from one that was read")
def _() -> None:
    model: Any = Parent()
    assert model._dirty == {"name"}
    model._dirty.clear()
    assert model.dirty_fields == []
    model.name = "x"
    assert model._dirty == {"name"}
    assert model.dirty_fields == [Parent.name]


class Probed(peewee.TextField):
    """A field that records which of its conversions peewee calls."""

    calls: list[str]

    def db_value(self, value: Any) -> Any:
        self.calls.append("db_value")
        return value

    def python_value(self, value: Any) -> Any:
        self.calls.append("python_value")
        return value


class Unconverted(Probed):
    _coerce = False


@needed("Field._coerce", "to check what is assigned and not what is compared, and to give rows as they are")
def _() -> None:
    for kind, expected in ((Probed, ["db_value", "python_value"]), (Unconverted, [])):
        with memory() as database:

            class Probe(peewee.Model):
                text = kind()

                class Meta:
                    database: Any = None

            Probe.bind(database)
            Probe.create_table()
            kind.calls = []
            Probe.insert(text="x").execute()
            assert set(kind.calls) == {"db_value"}
            kind.calls = []
            assert [*Probe.select(Probe.text).where(Probe.text == "x").tuples()] == [("x",)]
            assert kind.calls == expected


class Watched(peewee.TextField):
    """A field that records its place in a statement: assigned, inside an expression, selected, or elsewhere."""

    written: list[str]
    databases: list[Any]

    def __sql__(self, ctx: Any) -> Any:
        state, stack, source = ctx.state, ctx.stack, peewee.SCOPE_SOURCE
        self.databases.append(getattr(state.conflict_statement, "__self__", None))
        if state.in_expr or state.in_function:
            self.written.append("within")
        elif state.scope == peewee.SCOPE_VALUES:
            self.written.append("assigned")
        elif state.scope == source and len(stack) > 1 and stack[-2].scope != source:
            self.written.append("selected")
        else:
            self.written.append("elsewhere")
        return ctx.sql(self.column)


class Watching(peewee.Model):
    one = peewee.TextField(default="")
    text = Watched(default="")


@needed(
    "ctx.state.scope, .in_expr, .in_function, ctx.stack",
    "to know the place of a text in a statement, which decides its SQL",
)
def _() -> None:
    watched, model = Watching.text, Watching
    queries: dict[str, list[Any]] = {
        "selected": [model.select(watched), model.update(one="").returning(watched)],
        "within": [
            model.select(peewee.fn.upper(watched)),
            model.select(watched + ""),
            model.select().where(watched == ""),
        ],
        "assigned": [model.update(text=""), model.insert(text="")],
        "elsewhere": [model.select(model.one).order_by(watched)],
    }
    with memory() as database, database.bind_ctx([Watching]):
        Watching.create_table()
        for where, listed in queries.items():
            for query in listed:
                watched.written, watched.databases = [], []
                query.bind(database).execute()
                assert watched.written[-1] == where, query.sql()


@needed("ctx.state.conflict_statement.__self__", "to know the database that a query runs on, and give it our functions")
def _() -> None:
    with memory() as database, memory() as other, database.bind_ctx([Watching]):
        for each in (database, other):
            Watching.text.written, Watching.text.databases = [], []
            each.get_sql_context().sql(Watching.select(Watching.text))
            assert Watching.text.databases == [each]


@needed("ctx._sql", "to write a column once and copy its SQL")
def _() -> None:
    with memory() as database:
        context = database.get_sql_context()
        context.literal("SELECT ")
        begun = len(context._sql)
        context.sql(peewee.Entity("t", "a"))
        assert "".join(context._sql[begun:]) == '"t"."a"'
        context._sql[begun:] = ["f(1)"]
        assert context.query() == ("SELECT f(1)", [])


@needed("get_sql_context().sql(node).query()", "to write a node's SQL beside its values")
def _() -> None:
    with memory() as database:
        node = peewee.Check("a > 0")
        assert database.get_sql_context().sql(node).query() == ("CHECK (a > 0)", [])
        value = peewee.Value(3, converter=lambda number: number + 1)
        assert database.get_sql_context().sql(value).query() == ("?", [4])


class Queried(peewee.ModelSelect):
    """A query that records the methods that peewee calls."""

    seen: list[tuple[Any, ...]]

    def _execute(self, database: Any) -> Any:
        self.seen.append(("_execute", database))
        return super()._execute(database)  # type: ignore[misc]

    def _get_cursor_wrapper(self: Any, cursor: Any) -> Any:
        row_type = self._row_type or self.default_row_type
        self.seen.append((row_type, self._constructor, tuple(self._returning)))
        return super()._get_cursor_wrapper(Narrow(cursor))  # type: ignore[misc]


class Narrow:
    """A cursor that has only those attributes that peewee uses."""

    def __init__(self, cursor: Any) -> None:
        self.fetchone, self.description, self.close = cursor.fetchone, cursor.description, cursor.close


@needed(
    "_execute, _get_cursor_wrapper, _row_type, default_row_type, _constructor, _returning",
    "to read each text by the connection of its row, so that an unreadable text affects only one row",
)
def _() -> None:
    kinds: dict[str, Any] = {
        "model": lambda query: query,
        "dict": lambda query: query.dicts(),
        "made": lambda query: query.objects(dict),
        "own": lambda query: query.objects(),
    }
    expected: dict[str, tuple[Any, Any]] = {
        "model": (peewee.ROW.MODEL, None),
        "dict": (peewee.ROW.DICT, None),
        "made": (peewee.ROW.CONSTRUCTOR, dict),
        "own": (peewee.ROW.CONSTRUCTOR, Parent),
    }
    with memory() as database, database.bind_ctx([Parent]):
        Parent.create_table()
        Parent.create(name="x")
        for kind, made in kinds.items():
            Queried.seen = []
            query: Any = made(Queried(Parent, [Parent.name], is_default=False))
            assert len(list(query)) == 1
            row_type, constructor = expected[kind]
            assert Queried.seen == [("_execute", database), (row_type, constructor, (Parent.name,))]


@needed("ModelRaw._returning, ModelCompoundSelectQuery._returning", "to know which column of a row is a text")
def _() -> None:
    raw: Any = peewee.ModelRaw(Parent, "SELECT 1", ())
    assert tuple(raw._returning) == ()
    query: Any = Parent.select(Parent.name) | Parent.select(Parent.name)
    assert isinstance(query, peewee.ModelCompoundSelectQuery)
    assert tuple(getattr(query, "_returning", ())) == (Parent.name,)
    made: Any = peewee.ModelCompoundSelectQuery(Parent, query, "UNION", query)
    assert tuple(made._returning) == (Parent.name,)


@needed("Field.accessor_class, FieldAccessor.__get__", "to raise when a model is asked for a text that cannot be read")
def _() -> None:
    class Accessor(peewee.FieldAccessor):
        def __get__(self, instance: Any, instance_type: Any = None) -> Any:
            value = super().__get__(instance, instance_type)  # type: ignore[no-untyped-call]
            return value if instance is None else (self.name, value)

    class Own(peewee.TextField):
        accessor_class = Accessor

    class Model(peewee.Model):
        text = Own()

    model: Any = Model(text="x")
    assert model.text == ("text", "x")
    assert isinstance(Model.text, Own)


@needed(
    "FieldAlias.create, .source, .field; ModelAlias.get_field_aliases", "to write the SQL of a text for a model alias"
)
def _() -> None:
    alias: Any = Parent.alias("p")
    made: Any = peewee.FieldAlias.create(alias, Parent.name)
    assert isinstance(made, peewee.FieldAlias)
    assert isinstance(made, peewee.TextField)
    assert (made.source, made.field) == (alias, Parent.name)
    assert [field.name for field in alias.get_field_aliases()] == ["id", "name"]
    assert alias.model is Parent


@needed("WrappedNode.node, Alias.unwrap()", "to find the text behind the name that a query gives it")
def _() -> None:
    node: Any = peewee.WrappedNode(Parent.name)
    assert node.node is Parent.name
    assert peewee.Alias(node, "other").unwrap() is Parent.name


@needed("sort_models", "to make parents before their children")
def _() -> None:
    assert peewee.sort_models([Child, Parent]) == [Parent, Child]  # type: ignore[attr-defined]


@needed("Model._meta: schema, temporary, manytomany, only_save_dirty", "to know the tables of an application's models")
def _() -> None:
    meta: Any = Child._meta
    assert (meta.schema, bool(meta.temporary), meta.manytomany, meta.table_name) == (None, False, {}, "a_child")
    assert [field.name for field in meta.sorted_fields] == ["id", "parent"]
    assert [*meta.columns] == ["id", "parent_id"]
    assert meta.primary_key is Child.id  # type: ignore[attr-defined]
    assert not meta.only_save_dirty
    assert meta.indexes == []


@needed("playhouse.migrate.operation, Operation", "to run operations in migrate(), where one can return another")
def _() -> None:
    class Migrator(migrate.SqliteMigrator):  # type: ignore[misc]  # playhouse is not typed
        @migrate.operation  # type: ignore[untyped-decorator]
        def outer(self, *names: str) -> Any:
            self.ran = [*names]
            return self.inner("inner")

        @migrate.operation  # type: ignore[untyped-decorator]
        def inner(self, name: str) -> None:
            self.ran.append(name)

    with memory() as database:
        migrator = Migrator(database)
        operation = migrator.outer("a", "b")
        assert isinstance(operation, migrate.Operation)
        assert not hasattr(migrator, "ran")
        migrator.migrate(operation)
        assert migrator.ran == ["a", "b", "inner"]


@needed("playhouse.migrate.make_index_name", "to name a foreign key as playhouse does, with its length limit")
def _() -> None:
    assert migrate.make_index_name("t", ("a", "b")) == "t_a_b"
    assert len(migrate.make_index_name("t" * 100, ())) <= 64


@needed(
    "make_context, add_inline_fk_sql, Field.ddl, Field.ddl_datatype", "to write a column's definition for ADD COLUMN"
)
def _() -> None:
    with memory() as database:
        migrator = migrate.SqliteMigrator(database)
        context = migrator.make_context()
        field: Any = Child.parent
        context.sql(field.ddl(context))
        migrator.add_inline_fk_sql(context, field)
        written = '"parent_id" INTEGER REFERENCES "parents" ("id") ON DELETE CASCADE'
        assert context.query() == (written, [])
        context = migrator.make_context()
        assert context.sql(peewee.CharField(max_length=9).ddl_datatype(context)).query() == ("VARCHAR(9)", [])


@needed("SchemaMigrator.from_database, .database", "to give migrations playhouse's migrator of another engine")
def _() -> None:
    with memory() as database:
        migrator = migrate.SchemaMigrator.from_database(database)
        assert type(migrator) is migrate.SqliteMigrator
        assert migrator.database is database


@needed("peewee.sqlite3", "to use the same library as peewee: two libraries on one file drop locks")
def _() -> None:
    with memory() as database:
        assert isinstance(database.connection(), sqlite3.Connection)


@needed("SqliteDatabase._functions", "to add functions for new connections, without replacing those of the host")
def _() -> None:
    with memory() as database:
        database.register_function(abs, "theirs", 1)
        assert database._functions["theirs"] == (abs, 1, None)
        database._functions["ours"] = (abs, 1, None)
        assert database.execute_sql("SELECT theirs(-1), ours(-2)").fetchone() == (1, 2)


@pytest.mark.parametrize("names", LEANED_ON)
def test_peewee_does_what_we_lean_on(names: str) -> None:
    why, check = LEANED_ON[names]
    try:
        check()
    except Exception as error:
        raise AssertionError(f"peewee has changed: {names}; the package needs it {why}") from error
