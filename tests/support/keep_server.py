"""Run one PostgreSQL server in a new folder until the standard input ends, and then leave nothing behind.

This is a program of its own: `python -I -S keep_server.py PROGRAMS NAME=VALUE ...`, with settings of the server, or
`standby_of=FOLDER` for a standby of the server whose socket is in that folder. It prints `ready URL` or
`failed REASON`. It reads `stop` and `start`, and answers each with a line. The system ends its input when the test
run ends, however the run ends.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TIMEOUT = 60  # seconds; only a server that never starts takes so long
LONGEST = 103 - len("/.s.PGSQL.5432")  # the path of a socket has at most 103 bytes on macOS, and 107 on Linux
INITDB = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
STANDBY = "standby_of="
COPYING = ("-U", "postgres", "--write-recovery-conf", "--checkpoint=fast", "--no-sync")


class Failed(Exception):
    """A program of the server failed."""


class Server:
    """A server, and the folder with its programs' copy, its data, its socket and its log."""

    def __init__(self, installed: Path, settings: list[str]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pg", dir=parent_of_folders()))
        self.process: subprocess.Popen[Any] | None = None
        environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "HOME": str(self.folder)}
        self.how: dict[str, Any] = {"cwd": self.folder, "env": {**inherited(), **environment}}
        try:
            self.how.update(somebody(self.folder))
            self.programs = self.readable(installed)
            self.port = 5432 if os.name == "posix" else free_port()
            primary = [each.removeprefix(STANDBY) for each in settings if each.startswith(STANDBY)]
            given = [each for each in settings if not each.startswith(STANDBY)]
            self.settings = [f"port={self.port}", *self.where_to_listen(), *given]
            if primary:
                self.run("pg_basebackup", "-D", self.folder / "data", "-h", primary[0], *COPYING)
            else:
                self.run("initdb", "-D", self.folder / "data", *INITDB)
            self.start()
        except BaseException:
            self.remove()
            raise

    @property
    def url(self) -> str:
        if os.name == "posix":
            return f"postgresql://postgres@/postgres?host={self.folder}"
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def where_to_listen(self) -> list[str]:
        if os.name == "posix":
            return ["listen_addresses=", f"unix_socket_directories={self.folder}"]
        return ["listen_addresses=127.0.0.1"]  # Windows: never run there

    def run(self, program: str, *words: str | Path) -> None:
        done = subprocess.run(
            [self.programs / program, *words], capture_output=True, text=True, timeout=TIMEOUT, check=False, **self.how
        )
        if done.returncode:
            raise Failed(f"{program}: {done.stderr.strip()}")

    def start(self) -> None:
        words = [word for setting in self.settings for word in ("-c", setting)]
        with (self.folder / "log").open("ab") as log:
            command: list[str | Path] = [self.programs / "postgres", "-D", self.folder / "data", *words]
            server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self.how)
        self.process = server
        where: str | Path = self.folder if os.name == "posix" else "127.0.0.1"
        asked: list[str | Path] = [self.programs / "pg_isready", "-q", "-h", where, "-p", str(self.port)]
        deadline = time.monotonic() + TIMEOUT
        while subprocess.run(asked, check=False, timeout=TIMEOUT, **self.how).returncode:
            if server.poll() is not None or time.monotonic() > deadline:
                raise Failed((self.folder / "log").read_text(encoding="utf-8", errors="replace").strip())
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop the server at once, as a crash would; it recovers when it starts again."""
        if self.process is not None and self.process.poll() is None:
            if os.name == "posix":
                self.process.send_signal(signal.SIGQUIT)
            else:
                self.run("pg_ctl", "stop", "-m", "immediate", "-D", self.folder / "data")
            self.process.wait(TIMEOUT)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def readable(self, installed: Path) -> Path:
        """Return the folder of the programs, or of a copy of them if the user of the server cannot run them."""
        try:
            subprocess.run([installed / "postgres", "--version"], check=True, capture_output=True, **self.how)
        except (OSError, subprocess.CalledProcessError):
            package = installed.parents[1]
            copy = self.folder / "site" / package.name / installed.parent.name
            shutil.copytree(installed.parent, copy, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
            libraries = package.parent / f"{package.name}.libs"
            if libraries.is_dir():
                shutil.copytree(libraries, self.folder / "site" / libraries.name)
            return copy / "bin"
        return installed


def inherited() -> dict[str, str]:
    """Return what Windows' programs need of the environment; elsewhere the server gets nothing of it."""
    return {} if os.name == "posix" else dict(os.environ)


def somebody(folder: Path) -> dict[str, Any]:
    """Return whose process the server is, and give the folder to this user: a server refuses to run as root."""
    if os.name != "posix" or os.geteuid() != 0:
        return {}
    import pwd

    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise Failed("there is no user nobody, and a server refuses to run as root") from None
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def parent_of_folders() -> str:
    """Return a folder whose path is short enough for a socket, and which the user of the server can reach."""
    given = Path(tempfile.gettempdir())
    public = all(each.stat().st_mode & 1 for each in (given, *given.parents))
    if os.name != "posix" or (len(os.fsencode(given / "pg12345678")) <= LONGEST and (public or os.geteuid())):
        return str(given)
    return "/tmp"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def tell(line: str) -> None:
    sys.stdout.write(" ".join(line.split()) + "\n")
    sys.stdout.flush()


def main(installed: str, *settings: str) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        server = Server(Path(installed), list(settings))
    except (Failed, OSError, subprocess.TimeoutExpired) as error:
        tell(f"failed {error}")
        return
    try:
        tell(f"ready {server.url}")
        for line in sys.stdin:
            {"stop": server.stop, "start": server.start}[line.strip()]()
            tell(line)
    except BrokenPipeError:
        pass  # the test run was killed
    finally:
        server.remove()


if __name__ == "__main__":
    main(*sys.argv[1:])
