"""Store from a pool of processes and from threads of the parent at the same time: `pools.py fork|spawn|forkserver`."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading

from usage_store import (
    close_database,
    get_session_sizes,
    init_database,
    insert_usage_snapshot,
    register_session,
    validate_database,
)

TASKS = 200


def work(number: int) -> int:
    stored = insert_usage_snapshot({"session_id": "ab74d3b7", "snapshot_data": {"number": number}})
    assert stored is not None
    return os.getpid()


def open_database() -> None:
    init_database()


def main(method: str) -> None:
    init_database()
    register_session("ab74d3b7")
    work(-1)  # the parent has a connection when it forks
    context = multiprocessing.get_context(method)
    with context.Pool(4, None if method == "fork" else open_database) as pool:
        threads = [threading.Thread(target=work, args=(TASKS + number,)) for number in range(20)]
        given = pool.map_async(work, range(TASKS), chunksize=1)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        workers = set(given.get())
        pool.close()
        pool.join()
    (size,) = get_session_sizes()
    print(size.snapshots, len(workers), os.getpid() in workers, validate_database())
    close_database()


if __name__ == "__main__":
    main(sys.argv[1])
