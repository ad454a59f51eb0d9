"""Operators as Airflow runs them, in this process: what a task is told of Airflow is kept in plain values."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
import requests
from airflow.sdk.exceptions import TaskDeferred

from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook
from airflow_provider_jobs.operators.firecrawl import FirecrawlBatchScrapeOperator
from airflow_provider_jobs.sandbox import Sandbox
from tests.conftest import FIRECRAWL_KEY, connection


class Ti:
    """As much of a task instance as an operator asks for; it runs its only try."""

    dag_id, run_id, task_id, map_index = "a_dag", "a_run", "job", -1
    try_number, max_tries = 1, 0

    def __init__(self) -> None:
        self.start_date = dt.datetime.now(dt.UTC)
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value

    def get_task_states(self, **_: Any) -> dict[str, dict[str, str]]:
        return {self.run_id: {self.task_id: "running"}}


class TaskState(dict[str, Any]):
    """The task state store of one task."""

    def set(self, key: str, value: Any, **_: Any) -> None:
        self[key] = json.loads(json.dumps(value))


class Task:
    """One try of a task."""

    def __init__(self, operator: Any) -> None:
        self.operator = operator
        self.ti = Ti()
        self.context: Any = {"ti": self.ti, "task_state_store": TaskState()}
        self._deferred: TaskDeferred | None = None

    def run(self) -> Any:
        """Run to the end and return the value."""
        return self.operator.execute(self.context)

    def defer(self) -> str:
        """Run until the task waits in the triggerer, and return the job's id."""
        with pytest.raises(TaskDeferred) as caught:
            self.run()
        self._deferred = caught.value
        return str(self.ti.pushed["job_id"])

    def event(self) -> Any:
        """Let the trigger run until it fires, and return what it tells, through the JSON of Airflow's database."""
        assert self._deferred is not None
        trigger: Any = self._deferred.trigger

        async def first() -> Any:
            async with asyncio.timeout(60):
                return (await anext(trigger.run())).payload

        return json.loads(json.dumps(asyncio.run(first())))

    def resume(self, event: Any) -> Any:
        """Go on after the trigger has fired, in another process as far as the operator knows."""
        assert self._deferred is not None
        self.operator._custody = None
        kwargs = json.loads(json.dumps(self._deferred.kwargs))
        return self.operator.execute_complete(self.context, event=event, **kwargs)

    def close(self) -> None:
        """Let go of the process's signals, as the end of a task's process does."""
        custody = getattr(self.operator, "_custody", None)
        if custody is not None:
            custody.killer.disarm()


@pytest.fixture(autouse=True)
def no_proxy_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Point the connection `firecrawl_default` somewhere else."""

    def point(host: str, password: str = FIRECRAWL_KEY, **extra: Any) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_FIRECRAWL_DEFAULT", connection("firecrawl", host, password, **extra))

    return point


@pytest.fixture(autouse=True)
def connected(connect: Callable[..., None], sandbox: Sandbox) -> None:
    """The connection is the sandbox."""
    connect(sandbox.urls["firecrawl"])


@pytest.fixture
def hook(connected: None) -> FirecrawlHook:
    return FirecrawlHook()


@pytest.fixture
def task() -> Iterator[Callable[[Any], Task]]:
    """Return a function that makes a task of an operator."""
    with ExitStack() as made:

        def make(operator: Any) -> Task:
            return made.enter_context(closing(Task(operator)))

        yield make


@pytest.fixture
def scrape(task: Callable[[Any], Task]) -> Callable[..., Task]:
    """Return a function that makes a task of the batch scrape: `scrape(urls, deferrable=True).run()`."""
    return lambda urls, **arguments: task(FirecrawlBatchScrapeOperator(task_id="job", urls=urls, **arguments))


@pytest.fixture
def pages(sandbox: Sandbox) -> Callable[..., list[str]]:
    return lambda *numbers: [f"{sandbox.urls['site']}/page{number}.html" for number in numbers]


@pytest.fixture
def raw(sandbox: Sandbox) -> Callable[..., requests.Response]:
    """Return a function that asks the service without any of our code, to see that it does what a test is about."""

    def ask(method: str, path: str, **more: Any) -> requests.Response:
        return requests.request(method, sandbox.urls["firecrawl"] + path, timeout=30, **more)

    return ask


@pytest.fixture
def sent(sandbox: Sandbox) -> Callable[..., list[dict[str, Any]]]:
    """Return a function that lists the requests which the service has received."""

    def received(method: str | None = None, path_contains: str | None = None) -> list[dict[str, Any]]:
        return list(sandbox.control.requests(host="firecrawl", method=method, path_contains=path_contains))

    return received


@pytest.fixture
def over(sandbox: Sandbox) -> Callable[[str], None]:
    """Return a function that waits until a job is over."""

    def wait(job_id: str) -> None:
        ends = {"completed", "cancelled", "failed"}
        sandbox.control.wait_for(lambda: sandbox.control.job(job_id)["state"] in ends)

    return wait
