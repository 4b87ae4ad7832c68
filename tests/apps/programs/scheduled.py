"""A monitor that stores from four threads while APScheduler runs `maintain` every tenth of a second."""

from __future__ import annotations

import threading
import time

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED
from apscheduler.schedulers.background import BackgroundScheduler

from usage_store import (
    close_database,
    init_database,
    insert_usage_snapshot,
    insert_usage_snapshots,
    maintain,
    register_session,
)

OLD = 3000
DAY = 86_400
failures: list[object] = []
ran = threading.Semaphore(0)


def note(event: object) -> None:
    if exception := getattr(event, "exception", None):
        failures.append(exception)
    ran.release()


def write(start: int) -> None:
    for number in range(start, start + 100):
        assert insert_usage_snapshot({"session_id": "ab74d3b7", "snapshot_data": {"number": number}})


init_database()
register_session("ab74d3b7")
long_ago = time.time() - 60 * DAY
insert_usage_snapshots(
    {"session_id": "ab74d3b7", "snapshot_data": {"number": -1}, "timestamp": long_ago + number} for number in range(OLD)
)
scheduler = BackgroundScheduler()
scheduler.add_job(maintain, "interval", seconds=0.1, kwargs={"retention_days": 30, "compact_after_days": 7})
scheduler.add_listener(note, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
scheduler.start()
writers = [threading.Thread(target=write, args=(start,)) for start in range(0, 400, 100)]
for writer in writers:
    writer.start()
for writer in writers:
    writer.join()
for _ in range(3):
    ran.acquire(timeout=60)
scheduler.shutdown()
close_database()
print(failures)
