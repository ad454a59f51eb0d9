"""Operators without Airflow's processes: what Airflow hands to `execute`, over several tries of one task instance."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from airflow_provider_jobs.ledger import KEY
from tests.conftest import FIRECRAWL_KEY, connection


class StateStore:
    """Airflow's task state store, of one task instance: plain JSON by key."""

    def __init__(self) -> None:
        self._kept: dict[str, str] = {}

    def get(self, key: str) -> Any:
        return json.loads(self._kept[key]) if key in self._kept else None

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        self._kept[key] = json.dumps(value)

    def __repr__(self) -> str:
        return repr(self._kept)


class Instance:
    """One task instance. `execute` is its next try; `retry` and `clear` come between two of them."""

    def __init__(self, retries: int = 0) -> None:
        self.dag_id, self.run_id, self.task_id, self.map_index = "a_dag", "manual__2026", "job", None
        self.max_tries, self.try_number = retries, 1
        self.start_date = dt.datetime.now(dt.UTC)
        self.state = "running"
        self.pushed: dict[str, Any] = {}
        self.store = StateStore()
        self.operators: list[Any] = []

    # -- what operators ask of it ------------------------------------------------------------------------------------

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = json.loads(json.dumps(value))

    def xcom_pull(self, task_ids: Any = None, key: str = "return_value", map_indexes: Any = None) -> Any:
        return self.pushed.get(key)

    def get_task_states(self, **_: Any) -> Mapping[str, Mapping[str, Any]]:
        return {self.run_id: {self.task_id: self.state}}

    def get_first_reschedule_date(self, _: Any) -> None:
        return None

    # -- what tests do with it ---------------------------------------------------------------------------------------

    @property
    def context(self) -> dict[str, Any]:
        return {"ti": self, "task_state_store": self.store}

    @property
    def task(self) -> Any:
        return self.operators[-1]

    def execute(self, operator: Any) -> Any:
        self.operators.append(operator)
        return operator.execute(self.context)

    def deferred(self, operator: Any) -> TaskDeferred:
        """A try that ends in a deferral."""
        with pytest.raises(TaskDeferred) as caught:
            self.execute(operator)
        return caught.value

    @staticmethod
    def fire(deferral: TaskDeferred) -> Any:
        """Let the trigger run until it fires, and return its event through the JSON of Airflow's database."""
        trigger: Any = deferral.trigger

        async def first() -> Any:
            async with asyncio.timeout(60):
                return (await anext(trigger.run())).payload

        return json.loads(json.dumps(asyncio.run(first())))

    def resume(self, operator: Any, deferral: TaskDeferred, event: Any) -> Any:
        """Go on after the trigger has fired; `operator` is another object, as in another process."""
        self.operators.append(operator)
        return operator.execute_complete(self.context, event, **json.loads(json.dumps(deferral.kwargs)))

    def close(self) -> None:
        """Let go of the process's signals, as the end of a task's process does."""
        for operator in self.operators:
            if custody := getattr(operator, "_custody", None):
                custody.killer.disarm()

    def retry(self) -> None:
        self.try_number += 1
        self.pushed.clear()  # as Airflow does

    def clear(self) -> None:
        """Airflow gives a cleared task as many tries as it had, on top of those that it has used."""
        self.max_tries += 1
        self.retry()

    @property
    def ledger(self) -> list[dict[str, Any]]:
        """The entries on record, oldest first."""
        return list(self.store.get(KEY) or [])

    @property
    def closed(self) -> list[str | None]:
        return [entry["closed"] for entry in self.ledger]


@contextmanager
def killed_when(operator: Any, moment: Callable[[], Any]) -> Iterator[None]:
    """Kill the task as Airflow does, by a signal whose handler calls `on_kill`, as soon as the moment has come."""
    failed: list[BaseException] = []

    def wait() -> None:
        try:
            moment()
        except BaseException as error:
            failed.append(error)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, lambda *_: operator.on_kill())
    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        thread.join(60)
        signal.signal(signal.SIGTERM, before)
    assert not failed, failed


@pytest.fixture
def task() -> Iterator[Instance]:
    """A task instance without a retry; `task.max_tries` gives it some."""
    with closing(Instance()) as made:
        yield made


@pytest.fixture
def firecrawl_default(monkeypatch: pytest.MonkeyPatch, sandbox: Any) -> Callable[..., None]:
    """The connection `firecrawl_default` on the sandbox; call it to add extras, such as `api_version`."""

    def connect(**extra: Any) -> None:
        value = connection("firecrawl", sandbox.urls["firecrawl"], FIRECRAWL_KEY, **extra)
        monkeypatch.setenv("AIRFLOW_CONN_FIRECRAWL_DEFAULT", value)

    connect()
    return connect


@pytest.fixture
def quick(sandbox: Any) -> None:
    """Starts are answered a moment late, so that small jobs are over at the first look."""
    sandbox.control.fault("firecrawl", "slow", method="POST", times=None, seconds=0.2)


def sent(sandbox: Any, method: str | None = None, path: str | None = None) -> list[dict[str, Any]]:
    """What has arrived at Firecrawl."""
    return list(sandbox.control.requests(host="firecrawl", method=method, path_contains=path))


def bodies(sandbox: Any, path: str) -> list[dict[str, Any]]:
    """The bodies of the starts and calls that have arrived."""
    return [json.loads(seen["body"]) for seen in sent(sandbox, "POST", path)]
