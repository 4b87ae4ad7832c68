"""Keep a thread that goes on after its test away from the file that the application's database names then."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from usage_store.engines import name_of
from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import peewee


class _Connect:
    """The method `connect` of a database, but not for some threads while the database names the same file."""

    def __init__(self, database: peewee.Database, threads: set[threading.Thread]) -> None:
        self._database = database
        self._database_name = database.database
        self.threads = threads

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Connect as peewee does. Raises ConfigurationError in one of the threads."""
        thread = threading.current_thread()
        if thread in self.threads and self._database.database == self._database_name:
            raise ConfigurationError(
                f"{name_of(self._database)}: not opened, because this thread ({thread.name}) was started in a test "
                "that has ended; wait for the thread in the test"
            )
        return type(self._database).connect(self._database, *args, **options)


@contextmanager
def without_late_threads(database: peewee.Database) -> Iterator[None]:
    """Refuse after the block to connect the database in a thread that was started in the block.

    The same thread can connect again in another such block.
    """
    earlier = _taken(database)
    before = set(threading.enumerate())
    try:
        yield
    finally:
        _taken(database)
        late = {each for each in threading.enumerate() if each in earlier or each not in before}
        if late:
            vars(database)["connect"] = _Connect(database, late)


def _taken(database: peewee.Database) -> set[threading.Thread]:
    """Return the threads that cannot connect, and let them connect again."""
    held = vars(database)
    return held.pop("connect").threads if isinstance(held.get("connect"), _Connect) else set()
