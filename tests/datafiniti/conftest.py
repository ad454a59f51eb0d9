"""Datafiniti's operators as Airflow runs them, in this process: Airflow's own part is kept in plain values."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from airflow.sdk.exceptions import TaskDeferred

from airflow_provider_jobs.operators.datafiniti import DatafinitiDownloadOperator, DatafinitiFetchResultsOperator
from airflow_provider_jobs.sandbox import Sandbox
from tests.conftest import DATAFINITI_TOKEN, connection

AT_ONCE = {"t_queue": 0.0, "rate": 1e6}
"""Settings with which a download is over at the first look."""
ON_CALL = {"t_queue": 0.0, "rate": 1.0}
"""Settings with which it does a record for every second that the sandbox's clock is moved on."""


class Ti:
    """As much of a task instance as an operator asks for."""

    dag_id, run_id, task_id, map_index, max_tries = "a_dag", "a_run", "job", -1, 1

    def __init__(self) -> None:
        self.try_number = 1
        self.start_date = dt.datetime.now(dt.UTC)
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value

    def get_task_states(self, **_: Any) -> dict[str, dict[str, str]]:
        return {self.run_id: {self.task_id: "running"}}


class TaskState(dict[str, Any]):
    """The task state store of a task, which outlives its tries."""

    def set(self, key: str, value: Any, **_: Any) -> None:
        self[key] = json.loads(json.dumps(value))


class Task:
    """A task: each call of `run` is a try, with an operator of its own.

    :ivar way: `sync`, or `deferred`: then `meanwhile` is called while no process of the task is there.
    """

    def __init__(self, operator: Callable[..., Any], **arguments: Any) -> None:
        self._make = lambda: operator(task_id="job", **arguments)
        self.ti = Ti()
        self.context: Any = {"ti": self.ti, "task_state_store": TaskState()}
        self.was_deferred = False

    def run(self, meanwhile: Callable[[], Any] = lambda: None) -> Any:
        """Run a try to its end and return the value."""
        try:
            return self._make().execute(self.context)
        except TaskDeferred as deferral:
            self.was_deferred = True
            meanwhile()
            event = asyncio.run(asyncio.wait_for(_fire(deferral.trigger), 60))
            return self._make().execute_complete(self.context, event=event, **(deferral.kwargs or {}))
        finally:
            self.ti.try_number += 1


async def _fire(trigger: Any) -> Any:
    (event,) = [event.payload async for event in trigger.run()]
    return json.loads(json.dumps(event))


@pytest.fixture(autouse=True)
def connected(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> None:
    """The connections `datafiniti_default` with the token and `by_login` with an account's password."""
    host, extra = sandbox.urls["datafiniti"], {"timeout": 5, "max_requests_per_minute": 60_000}
    monkeypatch.setenv("AIRFLOW_CONN_DATAFINITI_DEFAULT", connection("datafiniti", host, DATAFINITI_TOKEN, **extra))
    by_login = {"conn_type": "datafiniti", "host": host, "login": "user@example.com", "password": "secret"}
    monkeypatch.setenv("AIRFLOW_CONN_BY_LOGIN", json.dumps({**by_login, "extra": {**extra, "auth": "login"}}))


@pytest.fixture
def settings(sandbox: Sandbox) -> Callable[..., None]:
    """Change settings of the sandbox's Datafiniti."""
    return lambda **changes: sandbox.control.settings(datafiniti=changes)


@pytest.fixture
def download() -> Callable[..., Task]:
    """Return a function that makes a task with a download."""

    def make(**arguments: Any) -> Task:
        usual = {"data_type": "businesses", "query": "country:US", "num_records": 5, "deferrable": False}
        return Task(DatafinitiDownloadOperator, **{**usual, **arguments})

    return make


@pytest.fixture
def fetch() -> Callable[..., Task]:
    """Return a function that makes a task which fetches the result of a download."""
    return lambda download_id, **arguments: Task(DatafinitiFetchResultsOperator, download_id=download_id, **arguments)


@pytest.fixture
def elsewhere(sandbox: Sandbox) -> Callable[..., str]:
    """Start a download as somebody else would, and return its id."""

    def start(data_type: str = "businesses", *, token: str = DATAFINITI_TOKEN, **body: Any) -> str:
        reply = requests.post(
            f"{sandbox.urls['datafiniti']}/v4/{data_type}/search",
            json={"query": "country:US", "download": True, "num_records": 5, **body},
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        )
        assert reply.ok, reply.text
        return str(reply.json()["id"])

    return start


@pytest.fixture
def posts(sandbox: Sandbox) -> Callable[[], list[dict[str, Any]]]:
    """The starts that the sandbox has received, as their bodies with the path."""

    def seen() -> list[dict[str, Any]]:
        calls = sandbox.control.requests(host="datafiniti", method="POST", path_contains="/search")
        return [{"path": call["path"], **json.loads(call["body"])} for call in calls]

    return seen


@pytest.fixture
def deletes(sandbox: Sandbox) -> Callable[[], int]:
    return lambda: len(sandbox.control.requests(method="DELETE"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "result"


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """What has been logged since the last call; Airflow's operators write to standard output here."""
    return lambda: capsys.readouterr().out
