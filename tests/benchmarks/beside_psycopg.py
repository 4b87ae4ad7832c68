"""Compare calls with the same statements by psycopg 3, on the same server, in turns."""

from __future__ import annotations

import statistics
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg

from tests.support import postgresql_servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

COLUMNS = "(session_id, snapshot_data, snapshot_type, timestamp)"
INSERT = f"INSERT INTO usage_snapshots {COLUMNS} VALUES (%s, %s, %s, %s)"
COPY = f"COPY usage_snapshots {COLUMNS} FROM STDIN"
TICK = 1e9  # nanoseconds, the unit of /proc/PID/schedstat


def a_server(version: int) -> str:
    """Start a server that is set up like a real one: a commit waits for the disk."""
    postgresql_servers.SETTINGS.update(fsync="on", full_page_writes="on", autovacuum="on")
    return postgresql_servers.server_url(version)


def seconds(call: Callable[[], object]) -> float:
    """Return how long a call takes by the clock."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


class Taken(NamedTuple):
    """The seconds of one turn: by the clock, and of the processors of client and server."""

    clock: float
    processor: float


class Processes:
    """The processor time of this process and of the server processes of some connections."""

    def __init__(self, *pids: int) -> None:
        self.files = [Path(f"/proc/{pid}/schedstat") for pid in pids]

    def spent(self) -> float:
        """Return the seconds until now. The server must be on this machine."""
        return time.process_time() + sum(int(file.read_text().split()[0]) for file in self.files) / TICK

    def taken(self, call: Callable[[], object]) -> Taken:
        """Run a function and return what it took."""
        before, started = self.spent(), time.perf_counter()
        call()
        return Taken(time.perf_counter() - started, self.spent() - before)


@contextmanager
def empty_schema(server: str) -> Iterator[str]:
    """Make a schema for the block and yield its URL."""
    name = f"bench_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
        try:
            yield f"{server}{'&' if '?' in server else '?'}schema={name}"
        finally:
            connection.execute(f"DROP SCHEMA {name} CASCADE")


def raw(url: str) -> psycopg.Connection[Any]:
    """Connect by psycopg 3 alone to the schema of a URL."""
    server, _, schema = url.rpartition("schema=")
    return psycopg.connect(server.rstrip("?&"), autocommit=True, options=f"-c search_path={schema}")


def compare(
    name: str,
    count: int,
    processes: Processes,
    floor: Sequence[Callable[[], object]],
    ours: Sequence[Callable[[], object]],
) -> None:
    """Print the rates, and the median ratio of turns in which both did the same."""
    pairs = []
    for number, (first, second) in enumerate(zip(floor, ours, strict=True)):
        calls = [first, second] if number % 2 else [second, first]
        taken = [processes.taken(call) for call in calls]
        pairs.append(taken if number % 2 else taken[::-1])
    clock, processor = (
        statistics.median(getattr(a, what) / getattr(b, what) for a, b in pairs) for what in Taken._fields
    )
    each = count / len(pairs)
    rates = [each / statistics.median(pair[who].clock for pair in pairs) for who in (0, 1)]
    print(f"{name}: psycopg {rates[0]:,.0f}/s, usage_store {rates[1]:,.0f}/s")
    print(f"  {clock:.2f} of its rate by the clock, {processor:.2f} by processor time; {1 / clock:.2f} times as long")
