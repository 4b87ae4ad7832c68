"""Run rounds of programs that fork with an open database, and compare their reports with the file."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import sys
import threading
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

from tests.support.driver import sqlite3
from tests.support.programs import forked
from usage_store import init_database, insert_usage_snapshot, insert_usage_snapshots, register_session
from usage_store.errors import UsageStoreError

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 20


class Wire:
    """The channel from the programs of a round to the process that started them, which never opens a database."""

    def __init__(self) -> None:
        self.heard, self._say = os.pipe()
        self._waits, self.go = os.pipe()

    def say(self, line: str) -> None:
        os.write(self._say, f"{line}\n".encode())

    def pause(self) -> None:
        """Let another process open and close the file, then continue."""
        self.say("pause")
        assert os.read(self._waits, 1)

    def insert(self, count: int) -> None:
        """Insert rows one by one, then the same number at once, and report the result of each row."""
        snapshot = {"session_id": "s", "snapshot_data": {"process": os.getpid()}}
        try:
            for _ in range(count):
                self.say("stored" if insert_usage_snapshot(snapshot) else "nothing")
            for _ in range(insert_usage_snapshots([snapshot] * count) or 0):
                self.say("stored")
        except UsageStoreError as error:
            self.say(type(error).__name__)

    def follow(self, path: str) -> Counter[str]:
        """Count the programs' reports until all programs have ended, and then the rows in the file."""
        os.close(self._say)
        said: Counter[str] = Counter()
        with os.fdopen(self.heard) as lines:
            for line in lines:
                said[line.strip()] += 1
                if line == "pause\n":
                    assert forked(lambda: look(path)) == 0
                    os.write(self.go, b"!")
        found, found_by = os.pipe()
        assert forked(lambda: os.write(found_by, str(look(path)).encode())) == 0
        said["found"] = int(os.read(found, 100))
        for descriptor in (self._waits, self.go, found, found_by):
            os.close(descriptor)
        return said


def look(path: str) -> int:
    """Open and close the file as any other program does; the last program that closes it removes the -wal."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (found,) = connection.execute("SELECT count(*) FROM usage_snapshots").fetchone()
        return int(found)


def rounds(program: Callable[[str, Wire], Any]) -> None:
    """Run a program in fresh processes, in the current folder, and print the results of all rounds."""
    results = []
    assert forked(_make) == 0
    for number in range(ROUNDS):
        path, wire = shutil.copyfile("made.db", f"{number}.db"), Wire()
        if os.fork() == 0:
            os.close(wire.go)  # otherwise it would wait for itself after the death of its parent
            program(path, wire)
            os._exit(0)
        results.append(wire.follow(path))
    sys.stdout.write(json.dumps(results))


def _make() -> None:
    with closing(init_database("made.db")):
        register_session("s")


def daemonise(path: str, wire: Wire) -> None:
    init_database(path)
    wire.insert(2)
    if os.fork():
        os._exit(0)
    os.setsid()
    for _ in range(2):
        wire.pause()
        wire.insert(2)


def parent_closes_first(path: str, wire: Wire) -> None:
    database = init_database(path)
    wire.insert(2)
    if os.fork():
        database.close()
        os.wait()
    else:
        wire.pause()
        wire.insert(4)


def _work(wire: Wire) -> None:
    wire.insert(1)
    wire.pause()
    wire.insert(1)


def pool(path: str, wire: Wire) -> None:
    database = init_database(path)
    wire.insert(1)
    with multiprocessing.get_context("fork").Pool(2, _hand_over, (wire,)) as workers:
        database.close()
        workers.map(_pool_work, range(4))
        workers.close()
        workers.join()


_wire: Wire


def _hand_over(wire: Wire) -> None:
    global _wire  # noqa: PLW0603  what a pool's worker inherits
    _wire = wire


def _pool_work(_: int) -> None:
    _work(_wire)


def preloading_server(path: str, wire: Wire) -> None:
    init_database(path)
    wire.insert(2)
    for _ in range(3):
        if os.fork() == 0:
            _work(wire)
            os._exit(0)


def inside_atomic(path: str, wire: Wire) -> None:
    database = init_database(path)
    with database.atomic():
        wire.insert(2)
        if os.fork() == 0:
            wire.insert(2)
            sys.exit()  # ends the block and the process in the normal way
        os.wait()
    wire.pause()
    wire.insert(2)


def second_thread_connected(path: str, wire: Wire) -> None:
    database = init_database(path)
    connected, ended = threading.Event(), threading.Event()

    def reads() -> None:
        database.execute_sql("SELECT 1").fetchall()
        connected.set()
        ended.wait()
        database.close()

    thread = threading.Thread(target=reads)
    thread.start()
    connected.wait()
    if os.fork() == 0:
        wire.insert(2)
        wire.pause()
        wire.insert(2)
        os._exit(0)
    wire.insert(2)
    os.wait()
    wire.insert(2)
    ended.set()
    thread.join()


if __name__ == "__main__":
    rounds(globals()[sys.argv[1]])
