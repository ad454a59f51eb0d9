"""Tests that mostly wait, told side by side.

A story is a test written as a generator: it does something and yields what it waits for. All stories of a module run
at the same time against one Airflow, each with a sandbox and connections of its own, and each is judged as a test:

    @story
    def test_marked_failed(stage):
        run = stage.run("firecrawl_sync", urls=stage.pages(1))
        (job,) = yield stage.jobs_started(1)
        run.mark("failed")
        yield stage.nothing_runs()
"""

import functools
import inspect
import json
import time
import urllib.request
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from typing import Any

import psutil
import pytest

from airflow_provider_jobs.sandbox import Sandbox
from tests.support.cluster import TASK_IS_OVER, AirflowCluster

PATIENCE = 100.0
FAST = 20.0
"""Seconds from the act to the end of the job; a triggerer that has not been asked anything yet needs up to ten."""
AT_ONCE = 10
"""Stories that run at the same time: every task that starts costs seconds of a CPU."""
FIRECRAWL_KEY = "fc-key-of-a-story"
DATAFINITI_TOKEN = "sandbox-token"
OVER = {"completed", "cancelled", "failed"}
WAITING = {"sync": "running", "deferred": "deferred"}
"""The state of a task that waits, by the way in which it does."""
_numbers = count(1)


@dataclass(frozen=True)
class Until:
    """What a story waits for. The answer of `check`, once it is true, is sent back into the story."""

    what: str
    check: Callable[[], Any]
    timeout: float = PATIENCE


Telling = Generator[Until, Any, None]


class Run:
    """A run of a DAG."""

    def __init__(self, airflow: AirflowCluster, dag_id: str, run_id: str) -> None:
        self.airflow, self.dag_id, self.run_id = airflow, dag_id, run_id
        self.acted: float | None = None

    def task(self, task_id: str = "job", map_index: int = -1) -> dict[str, Any]:
        """The task instance as Airflow tells it now; empty before it exists."""
        place = "" if map_index < 0 else f"/{map_index}"
        path = f"/dags/{self.dag_id}/dagRuns/{self.run_id}/taskInstances/{task_id}{place}"
        answer = self.airflow.api_raw("GET", path)
        return {} if answer.status_code == 404 else dict(answer.json())

    def becomes(
        self, states: str | Iterable[str], task_id: str = "job", map_index: int = -1, timeout: float = PATIENCE
    ) -> Until:
        """Wait for the task to be in one of the states; another end is a failure at once."""
        wanted = {states} if isinstance(states, str) else set(states)

        def check() -> dict[str, Any] | None:
            task = self.task(task_id, map_index)
            if task.get("state") in wanted:
                return task
            assert task.get("state") not in TASK_IS_OVER, f"{self.dag_id}.{task_id} is {task['state']}, not {wanted}"
            return None

        return Until(f"{self.dag_id}.{task_id}[{map_index}] to be {' or '.join(sorted(wanted))}", check, timeout)

    def try_begins(
        self, number: int, states: str | Iterable[str] = ("running", "deferred"), task_id: str = "job"
    ) -> Until:
        """Wait for the try of this number to be in one of the states."""
        wanted = {states} if isinstance(states, str) else set(states)

        def check() -> dict[str, Any] | None:
            task = self.task(task_id)
            return task if task.get("try_number") == number and task.get("state") in wanted else None

        return Until(f"try {number} of {self.dag_id}.{task_id} to be {wanted}", check)

    def ends(self, state: str, timeout: float = PATIENCE) -> Until:
        """Wait for the run to be over, in this state."""

        def check() -> bool:
            found = self.airflow.run(self.dag_id, self.run_id)["state"]
            assert found == state or found in {"queued", "running"}, f"{self.dag_id} is {found}, not {state}"
            return bool(found == state)

        return Until(f"the run of {self.dag_id} to be {state}", check, timeout)

    # What a user does; `acted` is when.

    def mark(self, state: str, task_id: str = "job", map_index: int | None = None) -> None:
        self.acted = time.time()
        self.airflow.mark(self.dag_id, self.run_id, task_id, state, map_index)

    def mark_run(self, state: str) -> None:
        self.acted = time.time()
        self.airflow.mark_run(self.dag_id, self.run_id, state)

    def clear(self, task_id: str | None = None) -> None:
        self.acted = time.time()
        self.airflow.clear(self.dag_id, self.run_id, task_id)

    def xcom(self, key: str = "return_value", task_id: str = "job", map_index: int = -1) -> Any:
        return self.airflow.xcom(self.dag_id, self.run_id, task_id, key, map_index)

    def xcom_keys(self, task_id: str = "job") -> set[str]:
        """The names of the task's XComs."""
        return {x["key"] for x in self.airflow.xcoms(self.dag_id, self.run_id) if x["task_id"] == task_id}

    def log(self, task_id: str = "job", try_number: int | None = None) -> str:
        return self.airflow.logs(self.dag_id, self.run_id, task_id, try_number)

    def was_deferred(self, task_id: str = "job") -> bool:
        """Whether a triggerer has ever had this task."""
        folder = self.airflow.home / "logs" / f"dag_id={self.dag_id}" / f"run_id={self.run_id}" / f"task_id={task_id}"
        return any(".trigger." in path.name for path in folder.rglob("*.log*"))


class Stage:
    """What a story plays on: the Airflow that all share, and a sandbox with two connections of its own."""

    def __init__(
        self,
        airflow: AirflowCluster,
        name: str,
        sandbox: Sandbox | None = None,
        connections: dict[str, str] | None = None,
    ) -> None:
        """Prepare the stage.

        :param sandbox: a running one; without it, the stage starts its own when it is first used
        :param connections: the connection to use, by service; without it, two are stored in the database
        """
        self.airflow, self.name = airflow, name
        self.runs: list[Run] = []
        self._open = ExitStack()
        self._sandbox = sandbox
        self._connections = connections or {}

    @property
    def sandbox(self) -> Sandbox:
        if self._sandbox is None:
            self._sandbox = self._open.enter_context(Sandbox(page_seconds=0.0))
            number = next(_numbers)
            for service, password in (("firecrawl", FIRECRAWL_KEY), ("datafiniti", DATAFINITI_TOKEN)):
                name = self._connections[service] = f"{service}_story_{number}"
                self.airflow.add_connection(name, service, host=self._sandbox.urls[service], password=password)
        return self._sandbox

    @property
    def control(self) -> Any:
        return self.sandbox.control

    def hold(self) -> None:
        """From now on a job runs until somebody ends it."""
        self.control.settings(firecrawl={"hold": True}, datafiniti={"hold": True})

    def list_nothing(self) -> None:
        """From now on no list shows a batch scrape, or what a download was asked for: a lost start stays lost."""
        self.control.settings(firecrawl={"server": "2025"}, datafiniti={"wire": "w3"})

    def run(self, dag_id: str, **conf: Any) -> Run:
        """Start a run."""
        _ = self.sandbox
        run_id = self.airflow.trigger(dag_id, conf={**self._connections, **conf})
        self.runs.append(Run(self.airflow, dag_id, run_id))
        return self.runs[-1]

    def start(self, service: str, **conf: Any) -> Run:
        """Start a run of the DAG `<service>_<way>` with a small job: `stage.start("firecrawl", "sync")`."""
        return self.run(f"{service}_{conf.pop('way')}", **{**self.small(service), **conf})

    def start_elsewhere(self, service: str) -> str:
        """Start a job without Airflow; return its id."""
        if service == "firecrawl":
            path, token, body = "/v1/batch/scrape", FIRECRAWL_KEY, {"urls": self.pages(1, 2)}
        else:
            path, token = "/v4/businesses/search", DATAFINITI_TOKEN
            body = {"query": "country:US", "download": True, "format": "json", "num_records": 3}
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.sandbox.urls[service] + path, json.dumps(body).encode(), headers)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as reply:
            return str(json.loads(reply.read())["id"])

    def small(self, service: str) -> dict[str, Any]:
        return {"urls": self.pages(1, 2, 3)} if service == "firecrawl" else {"num_records": 4}

    def pages(self, *numbers: int, ms: int = 0) -> list[str]:
        wait = f"?ms={ms}" if ms else ""
        return [f"{self.sandbox.urls['site']}/page{number}.html{wait}" for number in numbers]

    # -- the sandbox's own record ----------------------------------------------------------------------------------

    def jobs(self) -> list[dict[str, Any]]:
        return list(self.control.jobs())

    def running(self) -> list[dict[str, Any]]:
        return [job for job in self.jobs() if job["state"] not in OVER]

    def posts(self) -> list[dict[str, Any]]:
        """The requests that ask for a start."""
        return [seen for seen in self.control.requests(method="POST") if not seen["path"].endswith("/auth")]

    def deletes(self) -> list[dict[str, Any]]:
        return list(self.control.requests(method="DELETE"))

    def jobs_started(self, number: int, timeout: float = PATIENCE) -> Until:
        """Wait for so many jobs; the answer is the list of them."""

        def check() -> list[dict[str, Any]] | None:
            jobs = self.jobs()
            assert len(jobs) <= number, f"{len(jobs)} jobs were started, not {number}"
            return jobs if len(jobs) == number else None

        return Until(f"{number} jobs to be started", check, timeout)

    def begun(self, run: Run, state: str, number: int = 1, task_id: str = "job") -> Telling:
        """Wait until the newest of so many jobs is watched by a task in this state; the answer is the job."""
        jobs = yield self.jobs_started(number)
        yield run.becomes(state, task_id)
        if state == "deferred":
            yield process_gone(run, task_id)
        yield self.polled(jobs[-1]["id"])
        return jobs[-1]

    def brought_to_its_end(self, run: Run, state: str) -> Telling:
        """Let the only job run until it is watched, and then succeed; the answer is the job."""
        job = yield from self.begun(run, state)
        self.finish(job["id"])
        return job

    def polled(self, job_id: str, times: int = 1, timeout: float = PATIENCE) -> Until:
        """Wait for so many more looks at a job."""
        before = self.looks(job_id)
        return Until(f"{times} looks at {job_id}", lambda: self.looks(job_id) >= before + times, timeout)

    def looks(self, job_id: str) -> int:
        return len(self.control.requests(method="GET", path_contains=job_id))

    def nothing_runs(self, timeout: float = 20) -> Until:
        """Wait until no job of this story runs any more."""
        return Until("no job to be running", lambda: not self.running(), timeout)

    def finish(self, job_id: str) -> None:
        self.control.act(job_id, "finish")

    def measured(self) -> str:
        """Return how long each act took to reach the service."""
        acts = [run.acted for run in self.runs if run.acted is not None]
        arrived = [seen["time"] for seen in self.deletes()] if acts else []
        return " ".join(
            f"{min(later) - act:.1f}" for act in acts if (later := [moment for moment in arrived if moment >= act])
        )

    def close(self) -> None:
        """End the sandbox."""
        self._open.close()

    def explain(self) -> str:
        """Return what the sandbox and the tasks of this story have to say."""
        lines = [f"--- story {self.name}"]
        if self._sandbox is not None:
            lines += [f"job {job['id']} {job['state']} deletes={job['deletes']}" for job in self.jobs()]
            lines += [
                f"{s['time'] % 1000:7.2f} {s['method']} {s['path']} -> {s['status']} {s['fault'] or ''}"
                for s in self.control.requests()
                if s["host"] != "site"
            ]
        for run in self.runs:
            tasks = self.airflow.api("GET", f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances")["task_instances"]
            for task in tasks:
                lines.append(
                    f"{run.dag_id}.{task['task_id']}[{task['map_index']}] {task['state']} try {task['try_number']}"
                )
                lines += run.log(task["task_id"]).splitlines()[-40:]
        return "\n".join(lines)


def process_gone(run: Run, task_id: str = "job") -> Until:
    """Wait until the process of the last try is over: it can change nothing any more.

    Of a deferred task, the scheduler must have heard of it too: Airflow fails a task that is resumed before.
    """

    def check() -> bool:
        task = run.task(task_id)
        if alive(task.get("pid")):
            return False
        if task.get("state") != "deferred":
            return True
        return run.airflow.scheduler_heard(run.dag_id, run.run_id, task_id, task["try_number"], task["map_index"])

    return Until("the task's process to end", check)


def alive(pid: int | None) -> bool:
    try:
        return pid is not None and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def trigger_gone(run: Run) -> Until:
    """Wait until no triggerer has to do with the task any more."""
    return Until("the task to have no trigger", lambda: run.task().get("trigger") is None)


# -- playing ---------------------------------------------------------------------------------------------------------


def story(tell: Callable[..., Telling]) -> Callable[..., None]:
    """Make a test of a story. Parameters beside `stage` come from `pytest.mark.parametrize`."""
    names = [name for name in inspect.signature(tell).parameters if name != "stage"]

    @functools.wraps(tell)
    def test(told: Callable[[str], None], request: pytest.FixtureRequest, **parameters: Any) -> None:
        told(request.node.name)

    kinds = inspect.Parameter.KEYWORD_ONLY
    test.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(name, kinds) for name in ("told", "request", *names)]
    )
    test.story = tell  # type: ignore[attr-defined]
    return test


class Player:
    """Plays stories side by side and remembers how each ended."""

    def __init__(self, stage: Callable[[str], Stage]) -> None:
        """Prepare to play.

        :param stage: sets the stage of the story of this name
        """
        self._stage = stage
        self.failures: dict[str, Exception] = {}
        self.notes: list[str] = []

    def play(self, stories: Sequence[tuple[str, Callable[..., Telling], dict[str, Any]]]) -> None:
        """Play all to their end."""
        waiting = list(stories)
        active: list[Playing] = []
        while waiting or active:
            while waiting and len(active) < AT_ONCE:
                name, tell, parameters = waiting.pop(0)
                active.append(Playing(name, tell, parameters, self._stage(name)))
            active = [playing for playing in active if not self._step(playing)]
            time.sleep(0.1)

    def _step(self, playing: "Playing") -> bool:
        """Take a story as far as it goes now; tell whether it is over."""
        try:
            playing.go_on()
            return False
        except StopIteration:
            pass
        except AssertionError as error:
            error.add_note(playing.stage.explain())
            self.failures[playing.name] = error
        except Exception as error:
            self.failures[playing.name] = error
        line = f"{time.monotonic() - playing.began:6.1f} s {playing.name}"
        acts = playing.stage.measured()
        self.notes.append(f"{line}; from act to DELETE: {acts} s" if acts else line)
        playing.stage.close()
        return True


class Playing:
    """A story that is being told."""

    def __init__(self, name: str, tell: Callable[..., Telling], parameters: dict[str, Any], stage: Stage) -> None:
        self.name, self.stage, self.began = name, stage, time.monotonic()
        self._telling = tell(stage, **parameters)
        self._until: Until | None = None
        self._since = 0.0

    @property
    def waits_for(self) -> Until | None:
        return self._until

    def go_on(self) -> None:
        """Go on as long as what the story waits for has come.

        :raises StopIteration: it is over.
        """
        answer = None
        if self._until is not None:
            answer = self._check(self._until)
            if not answer:
                return
        while True:
            self._until, self._since = self._telling.send(answer), time.monotonic()
            answer = self._check(self._until)
            if not answer:
                return

    def _check(self, until: Until) -> Any:
        try:
            answer = until.check()
            if not answer and time.monotonic() - self._since >= until.timeout:
                raise AssertionError(f"waited {until.timeout:g} s in vain for {until.what}; last seen: {answer!r}")
        except AssertionError as error:
            # Raised where the story waits, so that the report points there.
            self._telling.throw(error)
            raise
        return answer
