"""Measure the peak memory of a process for a tenth of the rows and for all rows. It must not grow with the rows."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

START = """
import sys, time
from tests.benchmarks.stream import replicated
from usage_store import UsageSnapshot, init_database, insert_usage_snapshots, maintain, register_sessions
path, rows = sys.argv[1], int(sys.argv[2])
database = init_database(path)
"""
# ru_maxrss is not used: a process starts with that of its parent, which is much larger here.
END = """
with open("/proc/self/status") as status:
    print(next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024)
"""
WORK = {
    "bulk insert": """
def registered(stream):
    known = set()
    for row in stream:
        if row.session_id not in known:
            known.add(row.session_id)
            register_sessions([row.session_id])
        yield row._asdict()

assert insert_usage_snapshots(registered(replicated(rows, int(time.time())))) == rows
""",
    "prune": "UsageSnapshot.prune(7)",
    "compact and give back": "maintain(compact_after_days=0.001)",
    "vacuum": """
for sql in ("PRAGMA auto_vacuum = NONE", "VACUUM"):
    database.execute_sql(sql)
maintain(compact_after_days=None, rewrite=True)
""",
}


def peaks(folder: Path, rows: int) -> None:
    """Print the peak of resident memory (MB) for each kind of work, including Python and the stream itself."""
    for name, work in WORK.items():
        found = [_peak(folder, count, work, fresh=name == "bulk insert") for count in (rows // 10, rows)]
        print(f"memory, {name}: {found[0]:.0f} MB for {rows // 10:,} rows, {found[1]:.0f} MB for {rows:,}")


def _peak(folder: Path, rows: int, work: str, *, fresh: bool) -> float:
    path, copy = folder / f"{rows}.db", folder / "work.db"
    if not fresh:
        for suffix in ("-wal", "-shm"):
            copy.with_name(copy.name + suffix).unlink(missing_ok=True)
        shutil.copy(path, copy)
        path = copy
    code = START + work + END
    done = subprocess.run([sys.executable, "-c", code, path, str(rows)], check=True, capture_output=True, text=True)
    return float(done.stdout)
