"""A real Airflow in a temporary home: API server, scheduler, DAG processor and triggerers as separate processes.

    with AirflowCluster(dags=[Path("example_dags")], env={"AIRFLOW_CONN_X": "{…}"}) as airflow:
        run_id = airflow.trigger("my_dag", conf={"pages": 3})
        assert airflow.wait_for_run("my_dag", run_id, timeout=60) == "success"

Every wait has a deadline, and what fails is an AssertionError with the ends of the logs that explain it.
"""

import atexit
import base64
import json
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import psutil
import requests
from cryptography.fernet import Fernet, InvalidToken

from tests.support.leash import leashed
from tests.support.postgres import Postgres
from tests.support.waiting import wait_until

FERNET_KEY = base64.urlsafe_b64encode(b"a fixed key for a throw-away db.").decode()
JWT_SECRET = "one secret for all components of a throw-away Airflow, long enough for HS512 to accept it"

TASK_IS_OVER = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
RUN_IS_OVER = frozenset({"success", "failed"})
TAIL_LINES = 40
SCHEDULER_HEARD = re.compile(r"Received executor event with state success .*? TaskInstanceKey\((.*?)\)")

# Clocks that Airflow lets one set, for tests that wait for what the clocks do. `env` overrides each.
FAST_CLOCKS = {
    "SCHEDULER__JOB_HEARTBEAT_SEC": "1",
    "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "20",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "2",
    # The scheduler, too, deletes stored triggers that no task refers to: of a deleted run, nothing is left after that.
    "SCHEDULER__PARSING_CLEANUP_INTERVAL": "86400",
    "TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    "DAG_PROCESSOR__REFRESH_INTERVAL": "3",
    "DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
    "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
}


@dataclass
class Component:
    """One of Airflow's processes."""

    name: str
    command: list[str]
    job_type: str | None  # what the process calls itself in the table `job`; None: it has no row there
    log: Path
    process: subprocess.Popen[bytes] | None = None
    jobs_before: int = 0  # the newest row of that table when this process was started


class AirflowCluster:
    """A context manager; see the module's text. One thread may use it."""

    def __init__(
        self,
        dags: Sequence[Path] = (),
        env: Mapping[str, str] | None = None,
        database: Literal["postgres", "sqlite"] = "postgres",
        triggerers: int = 1,
    ) -> None:
        """Prepare a cluster; entering it starts it.

        :param dags: DAG files, or folders whose content is copied; they share one flat folder
        :param env: environment of all components, over everything that is set here
        :param database: PostgreSQL brought by a wheel, or a SQLite file where that cannot run
        :param triggerers: how many; the second is called `triggerer-2`
        """
        self.dags = tuple(dags)
        self.database = database
        self.start_seconds = 0.0
        self._extra_env = dict(env or {})
        self._triggerers = triggerers
        self._components: dict[str, Component] = {}
        self._sessions: set[int] = set()
        self._heard: set[str] = set()
        self._heard_until = 0
        self._postgres: Postgres | None = None
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy, no .netrc
        self.home = Path()
        self.url = ""
        self.env: dict[str, str] = {}

    # -- life ------------------------------------------------------------------------------------------------------

    def __enter__(self) -> "AirflowCluster":
        began = time.monotonic()
        self.home = Path(tempfile.mkdtemp(prefix="jobs-airflow-")).resolve()
        atexit.register(self.close)
        try:
            if self.database == "postgres":
                self._postgres = Postgres().__enter__()
            port = free_port()
            self.url = f"http://127.0.0.1:{port}"
            self.env = self._environment()
            (self.home / "components").mkdir()
            (self.home / "dags").mkdir()
            self.add_dags(self.dags)
            self._migrate()
            self._define_components(port)
            for name in self._components:
                self._launch(name)
            for name in self._components:
                self._wait_ready(name)
        except BaseException:
            self.close()
            raise
        self.start_seconds = time.monotonic() - began
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every process that belongs to this cluster and remove its home (kept if AIRFLOW_CLUSTER_KEEP is set)."""
        atexit.unregister(self.close)
        running = [c.process for c in self._components.values() if c.process and c.process.poll() is None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + 5
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._kill_stragglers()
        if self._postgres is not None:
            self._postgres.stop()
            self._postgres = None
        self._session.close()
        if os.environ.get("AIRFLOW_CLUSTER_KEEP"):
            print(f"Airflow's home is kept: {self.home}", file=sys.stderr)
        elif self.home != Path():
            shutil.rmtree(self.home, ignore_errors=True)

    @property
    def pids(self) -> dict[str, int]:
        """The processes that run now, by component: api-server, scheduler, dag-processor, triggerer, triggerer-2…"""
        running = {}
        for name, component in self._components.items():
            if component.process is not None and component.process.poll() is None:
                running[name] = component.process.pid
        return running

    @property
    def names(self) -> list[str]:
        """The components, whether they run or not."""
        return list(self._components)

    def start(self, component: str) -> None:
        """Start a component that was stopped or killed and wait until it works."""
        self._launch(component)
        self._wait_ready(component)

    def stop(self, component: str, timeout: float = 70) -> None:
        """SIGTERM and wait; a component that is not over after `timeout` seconds is killed with its children."""
        process = self._running(component)
        children = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kill_all(children)

    def kill(self, component: str) -> None:
        """SIGKILL to the component's own process; its children live on, as they would anywhere."""
        process = self._running(component)
        process.kill()
        process.wait()

    def restart(self, component: str) -> None:
        """Stop the component if it runs, start it, and wait until it works."""
        if component in self.pids:
            self.stop(component)
        self.start(component)

    def kill_database(self) -> None:
        """Let PostgreSQL crash."""
        assert self._postgres is not None, "SQLite has no process"
        self._postgres.kill()

    def start_database(self) -> None:
        """Start PostgreSQL after a crash."""
        assert self._postgres is not None
        self._postgres.start()

    # -- what a user does ------------------------------------------------------------------------------------------

    def add_dags(self, paths: Iterable[Path]) -> None:
        """Copy DAG files, or what folders hold, into the DAG folder; a running cluster sees them in a few seconds."""
        for path in paths:
            if not path.exists():
                raise AssertionError(f"no such DAG file or folder: {path}")
            entries = sorted(path.iterdir()) if path.is_dir() else [path]
            for entry in entries:
                self._copy_dag(entry)

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None, run_id: str | None = None) -> str:
        """Start a run once the DAG is known, unpaused if need be, and return the run's id."""
        wait_until(lambda: self._is_parsed(dag_id), 60, f"DAG {dag_id} to be parsed")
        if self.api("GET", f"/dags/{dag_id}")["is_paused"]:
            self.api("PATCH", f"/dags/{dag_id}", {"is_paused": False})
        body: dict[str, Any] = {"logical_date": None, "conf": dict(conf or {})}
        if run_id is not None:
            body["dag_run_id"] = run_id
        return str(self.api("POST", f"/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def mark(self, dag_id: str, run_id: str, task_id: str, state: str, map_index: int | None = None) -> None:
        """Mark a task (of a mapped one: this index) as `success`, `failed` or `skipped`, as the UI does."""
        path = self._task_path(dag_id, run_id, task_id, -1 if map_index is None else map_index)
        self.api("PATCH", path, {"new_state": state})

    def mark_run(self, dag_id: str, run_id: str, state: str) -> None:
        """Mark a run as `success` or `failed`."""
        self.api("PATCH", f"/dags/{dag_id}/dagRuns/{run_id}", {"state": state})

    def clear(self, dag_id: str, run_id: str, task_id: str | None = None) -> None:
        """Clear one task of the run, or with no task the run."""
        if task_id is None:
            body: dict[str, Any] = {"dry_run": False, "only_failed": False}
            self.api("POST", f"/dags/{dag_id}/dagRuns/{run_id}/clear", body)
            return
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": [task_id], "only_failed": False}
        body |= {"only_running": False, "reset_dag_runs": True}
        self.api("POST", f"/dags/{dag_id}/clearTaskInstances", body)

    def delete_run(self, dag_id: str, run_id: str) -> None:
        """Delete a run; Airflow refuses while it is running."""
        self.api("DELETE", f"/dags/{dag_id}/dagRuns/{run_id}")

    def add_connection(self, conn_id: str, conn_type: str, **fields: Any) -> None:
        """Store a connection in the database; `fields` as in the REST API (host, login, password, port, extra)."""
        self.api("POST", "/connections", {"connection_id": conn_id, "conn_type": conn_type, **fields})

    command = (sys.executable, "-m", "airflow")

    def cli(
        self, *arguments: str, timeout: float = 120, env: Mapping[str, str] | None = None, answer: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run `airflow ARGUMENTS` in the cluster's environment, with changes to it and with this on its stdin."""
        return subprocess.run(
            [*self.command, *arguments],
            env={**self.env, **(env or {})},
            cwd=self.home,
            input=answer,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    # -- what a user sees ------------------------------------------------------------------------------------------

    def task(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> dict[str, Any]:
        """Return the task instance as the REST API tells it: state, try_number, note, trigger…"""
        answer = self.api("GET", self._task_path(dag_id, run_id, task_id, map_index))
        assert isinstance(answer, dict)
        return answer

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Return the run as the REST API tells it."""
        answer = self.api("GET", f"/dags/{dag_id}/dagRuns/{run_id}")
        assert isinstance(answer, dict)
        return answer

    def wait_for_task(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        states: str | Iterable[str],
        timeout: float = 60,
        map_index: int = -1,
    ) -> dict[str, Any]:
        """Wait until the task is in one of `states` and return it; a task that ends otherwise fails at once."""
        wanted = {states} if isinstance(states, str) else set(states)

        def look() -> dict[str, Any] | None:
            answer = self.api_raw("GET", self._task_path(dag_id, run_id, task_id, map_index))
            if answer.status_code == 404:  # a mapped task is not there before it is expanded
                return None
            task: dict[str, Any] = answer.json()
            if task["state"] in wanted:
                return task
            if task["state"] in TASK_IS_OVER:
                raise AssertionError(f"the task is over: {task['state']}")
            return None

        try:
            return wait_until(look, timeout, "the task") or {}
        except AssertionError as error:
            where = f"{dag_id}.{task_id} in {run_id} (map index {map_index})"
            raise AssertionError(
                f"{where} did not become {' or '.join(sorted(wanted))}: {error}\n"
                + self.explain(dag_id, run_id, task_id)
            ) from None

    def wait_for_run(self, dag_id: str, run_id: str, timeout: float = 60) -> str:
        """Wait until the run is over and return its state."""

        def look() -> str | None:
            state = self.run(dag_id, run_id)["state"]
            return str(state) if state in RUN_IS_OVER else None

        try:
            return wait_until(look, timeout, "the run to end") or ""
        except AssertionError as error:
            tasks = self.api("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
            states = ", ".join(f"{task['task_id']}[{task['map_index']}]={task['state']}" for task in tasks)
            raise AssertionError(f"{dag_id} {run_id}: {error}; {states}\n" + self.explain(dag_id, run_id)) from None

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """Return an XCom as a JSON value."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        params = {"map_index": map_index, "deserialize": False, "stringify": False}
        return self.api("GET", path, params=params)["value"]

    def xcoms(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """List the keys of all XComs of a run (dicts with task_id, map_index, key…)."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/~/xcomEntries"
        return list(self.api("GET", path)["xcom_entries"])

    def rendered_fields(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> dict[str, Any]:
        """Return the templated arguments as the UI shows them."""
        return dict(self.task(dag_id, run_id, task_id, map_index)["rendered_fields"])

    def logs(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        try_number: int | None = None,
        map_index: int | None = None,
    ) -> str:
        """Return what the task logged, from the files: all tries or one, the worker's part and the triggerer's."""
        folder = self.home / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}" / f"task_id={task_id}"
        place = "" if map_index is None or map_index < 0 else f"map_index={map_index}/"
        pattern = f"{place}attempt={'*' if try_number is None else try_number}.log*"
        if map_index is None:
            pattern = f"**/{pattern}"
        files = sorted(folder.glob(pattern))
        return "\n".join(path.read_text(errors="replace") for path in files)

    def scheduler_heard(self, dag_id: str, run_id: str, task_id: str, try_number: int, map_index: int = -1) -> bool:
        """Tell whether the scheduler has dealt with the end of a process of this try; only its log tells."""
        with (self.home / "components" / "scheduler.log").open("rb") as log:
            log.seek(self._heard_until)
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._heard_until += len(whole)
        self._heard |= set(SCHEDULER_HEARD.findall(whole.decode(errors="replace")))
        name = f"{dag_id=}, {task_id=}, {run_id=}, {try_number=}, {map_index=}"
        return name in self._heard

    def log_files(self) -> list[Path]:
        """Every log of the cluster: of tasks and triggers, of the DAG processor, of each component, of the database."""
        files = [path for path in (self.home / "logs").rglob("*") if path.is_file()]
        files += (self.home / "components").iterdir()
        if self._postgres is not None:
            files.append(self._postgres.log)
        return sorted(files)

    def import_errors(self) -> dict[str, str]:
        """Return the DAG files that could not be read, with their tracebacks."""
        errors = self.api("GET", "/importErrors")["import_errors"]
        return {error["filename"]: error["stack_trace"] for error in errors}

    # -- what stands in the database -------------------------------------------------------------------------------

    def sql(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a query and return its rows (of a statement without rows: none). Placeholders: `%s`, on SQLite `?`."""
        if self._postgres is None:
            with closing(sqlite3.connect(self.home / "airflow.db", timeout=30)) as connection, connection:
                return connection.execute(query, tuple(parameters)).fetchall()
        return self._postgres.sql(query, parameters)

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """Give a cursor of a connection of its own, and commit in the end: to hold a row. PostgreSQL only."""
        assert self._postgres is not None
        with closing(self._postgres.connect()) as connection, connection, connection.cursor() as cursor:
            yield cursor

    def database_dump(self, connection_passwords: bool = False) -> Iterator[tuple[str, str, str | bytes]]:
        """Yield (table, column, value) for every value of every table that is not NULL.

        What is encrypted (trigger arguments, variables, extras of connections) comes a second time, decrypted;
        what is compressed (DAGs), decompressed. JSON stays text as it is stored.

        :param connection_passwords: True yields also the column `password` of the table `connection`, in which a
            key is stored on purpose
        """
        for table, column, selected in self._columns():
            if (table, column) == ("connection", "password") and not connection_passwords:
                continue
            for (value,) in self.sql(f'SELECT {selected} FROM "{table}" WHERE "{column}" IS NOT NULL'):
                for form in readable_forms(value):
                    yield table, column, form

    # -- the REST API ----------------------------------------------------------------------------------------------

    def api(self, method: str, path: str, body: Any = None, params: Mapping[str, Any] | None = None) -> Any:
        """Send a request below /api/v2 and return the JSON of the answer; anything but success is an AssertionError."""
        answer = self.api_raw(method, path, body, params)
        if not answer.ok:
            raise AssertionError(f"{method} {path} {body or ''} -> {answer.status_code} {answer.text[:2000]}")
        return answer.json() if answer.content else None

    def api_raw(
        self, method: str, path: str, body: Any = None, params: Mapping[str, Any] | None = None
    ) -> requests.Response:
        """Send a request below /api/v2 and return the answer, whatever it is."""
        if "Authorization" not in self._session.headers:
            token = self._session.get(f"{self.url}/auth/token", timeout=30)
            self._session.headers["Authorization"] = f"Bearer {token.json()['access_token']}"
        return self._session.request(method, f"{self.url}/api/v2{path}", json=body, params=params, timeout=30)

    # -- when something went wrong ---------------------------------------------------------------------------------

    def explain(self, dag_id: str | None = None, run_id: str | None = None, task_id: str | None = None) -> str:
        """Return the ends of the logs: of the task or of the run's tasks, and of each component."""
        files: list[Path] = []
        if dag_id and run_id:
            folder = self.home / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}"
            files += sorted((folder / f"task_id={task_id}" if task_id else folder).rglob("*.log*"))
        files += sorted((self.home / "components").glob("*.log"))
        return "\n".join(f"--- {path.relative_to(self.home)}\n{tail(path)}" for path in files)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _environment(self) -> dict[str, str]:
        env = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "_AIRFLOW"))}
        settings = {
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__DAGS_FOLDER": str(self.home / "dags"),
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__PARALLELISM": "8",
            "CORE__FERNET_KEY": FERNET_KEY,
            "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "API__BASE_URL": self.url,
            "API__SECRET_KEY": JWT_SECRET,
            "API__WORKERS": "1",
            "API_AUTH__JWT_SECRET": JWT_SECRET,
            "DATABASE__CHECK_MIGRATIONS": "False",  # it has just been migrated
            "DAG_PROCESSOR__PARSING_PROCESSES": "2",
            "LOGGING__BASE_LOG_FOLDER": str(self.home / "logs"),
            "LOGGING__COLORED_CONSOLE_LOG": "False",
            "METRICS__STATSD_ON": "False",
            **self._database_settings(),
            **FAST_CLOCKS,
        }
        env |= {f"AIRFLOW__{name}": value for name, value in settings.items()}
        env |= {
            "AIRFLOW_HOME": str(self.home),
            "HOME": str(self.home),
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "PYTHONUNBUFFERED": "1",
        }
        return env | self._extra_env

    def _database_settings(self) -> dict[str, str]:
        if self._postgres is None:
            return {"DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home / 'airflow.db'}"}
        return {
            "DATABASE__SQL_ALCHEMY_CONN": self._postgres.url("psycopg2"),
            "DATABASE__SQL_ALCHEMY_CONN_ASYNC": self._postgres.url("asyncpg"),
        }

    def _migrate(self) -> None:
        answer = self.cli("db", "migrate", timeout=180)
        (self.home / "components" / "db-migrate.log").write_text(answer.stdout + answer.stderr)
        if answer.returncode:
            raise AssertionError(f"airflow db migrate failed:\n{answer.stdout}{answer.stderr}")

    def _define_components(self, port: int) -> None:
        def define(name: str, job_type: str | None, *arguments: str) -> None:
            command = [sys.executable, "-m", "airflow", *arguments]
            log = self.home / "components" / f"{name}.log"
            self._components[name] = Component(name, command, job_type, log)

        define("api-server", None, "api-server", "--host", "127.0.0.1", "--port", str(port))
        define("scheduler", "SchedulerJob", "scheduler", "--skip-serve-logs")
        define("dag-processor", "DagProcessorJob", "dag-processor")
        for number in range(1, self._triggerers + 1):
            name = "triggerer" if number == 1 else f"triggerer-{number}"
            define(name, "TriggererJob", "triggerer", "--skip-serve-logs")

    def _launch(self, name: str) -> None:
        component = self._components[name]
        if component.process is not None and component.process.poll() is None:
            raise AssertionError(f"{name} is running already")
        component.jobs_before = self.sql("SELECT coalesce(max(id), 0) FROM job")[0][0]
        with component.log.open("ab") as log:
            component.process = subprocess.Popen(
                leashed(component.command, signal.SIGTERM),
                env=self.env,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._sessions.add(component.process.pid)

    def _wait_ready(self, name: str) -> None:
        component = self._components[name]

        def ready() -> bool:
            self._running(name)
            return self._server_answers() if component.job_type is None else self._has_job(component)

        try:
            wait_until(ready, 90, f"{name} to be ready", interval=0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.explain()}") from None

    def _has_job(self, component: Component) -> bool:
        """Tell whether the component, and those of its type that were started with it, stand in the table `job`."""
        since = component.jobs_before
        started = [c for c in self._components.values() if (c.job_type, c.jobs_before) == (component.job_type, since)]
        query = (
            f"SELECT count(*) FROM job WHERE job_type = '{component.job_type}' AND state = 'running' AND id > {since}"
        )
        return bool(self.sql(query)[0][0] >= len(started))

    def _server_answers(self) -> bool:
        try:
            # The part that serves tasks is built on its first request; without this the first task waits for it.
            addresses = f"{self.url}/api/v2/version", f"{self.url}/execution/health"
            return all(self._session.get(address, timeout=30).ok for address in addresses)
        except requests.RequestException:
            return False

    def _running(self, name: str) -> subprocess.Popen[bytes]:
        process = self._components[name].process
        if process is None:
            raise AssertionError(f"{name} was never started")
        if process.poll() is not None:
            raise AssertionError(f"{name} is not running (exit code {process.returncode})\n{self.explain()}")
        return process

    def _is_parsed(self, dag_id: str) -> bool:
        answer = self.api_raw("GET", f"/dags/{dag_id}")
        if answer.ok:
            return not answer.json().get("is_stale", False)
        errors = self.import_errors()
        if errors:
            raise AssertionError(f"DAG {dag_id} is unknown and some files do not load: {json.dumps(errors, indent=1)}")
        return False

    def _copy_dag(self, source: Path) -> None:
        if source.name == "__pycache__" or source.name.startswith("."):
            return
        target = self.home / "dags" / source.name
        if target.exists():
            raise AssertionError(f"two DAG files are called {source.name}")
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)

    @staticmethod
    def _task_path(dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
        return path if map_index < 0 else f"{path}/{map_index}"

    def _kill_stragglers(self) -> None:
        """Kill what outlived its component, such as a killed scheduler's workers.

        They are known by the session that each component opens. The environment alone does not tell: Airflow writes
        the titles of its processes over it.
        """
        ours = []
        for process in psutil.process_iter():
            try:
                home = process.environ().get("AIRFLOW_HOME")
            except psutil.Error:
                home = None
            try:
                in_session = os.getsid(process.pid) in self._sessions
            except OSError:
                in_session = False
            if process.pid != os.getpid() and (in_session or home == str(self.home)):
                ours.append(process)
        kill_all(ours)

    def _columns(self) -> list[tuple[str, str, str]]:
        """List table, column and how to select it: JSON as the text it is, bytes as bytes."""
        if self._postgres is not None:
            query = (
                "SELECT table_name, column_name, quote_ident(column_name) ||"
                " CASE data_type WHEN 'bytea' THEN '' ELSE '::text' END"
                " FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, ordinal_position"
            )
        else:
            query = (
                """SELECT t.name, c.name, '"' || c.name || '"' FROM sqlite_master t, pragma_table_info(t.name) c"""
                " WHERE t.type = 'table' ORDER BY 1"
            )
        return [(table, column, selected) for table, column, selected in self.sql(query)]


def readable_forms(value: Any) -> Iterator[str | bytes]:
    """Yield a value as text or bytes, and once more when it can be decrypted or decompressed."""
    plain = bytes(value) if isinstance(value, bytes | bytearray | memoryview) else str(value)
    yield plain
    encoded = plain if isinstance(plain, bytes) else plain.encode()
    if encoded.startswith(b"gAAAA"):
        with suppress(InvalidToken):
            yield Fernet(FERNET_KEY).decrypt(encoded).decode(errors="replace")
    elif isinstance(plain, bytes):
        with suppress(zlib.error):
            yield zlib.decompress(plain)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on now, nor is given by the system to somebody who asks for any.

    So a component that is down for a while finds it free when it comes back.
    """
    for port in random.sample(range(12000, 30000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")


def tail(path: Path, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a file."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError as error:
        return f"({error})"


def kill_all(processes: Iterable[psutil.Process]) -> None:
    """SIGKILL to each process that is still the one it was, and wait for its end."""
    killed = []
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
        killed.append(process)
    psutil.wait_procs(killed, timeout=5)
