"""What Airflow hands to a running task, for one run, kept in this process: its states, XComs and task state stores."""

from __future__ import annotations

import datetime as dt
from typing import Any


class StateStore:
    """The task state store of one task instance; it outlives tries and clears."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        return self.values.get(key)

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        self.values[key] = value


class DagRun:
    """One run."""

    def __init__(self, run_id: str = "run") -> None:
        self.run_id = run_id
        self.clear_number = 0
        self.stores: dict[tuple[str, int], StateStore] = {}
        self.xcoms: dict[tuple[str, int, str], Any] = {}


class TaskInstance:
    """One try of a task."""

    dag_id = "a_dag"
    task_id = "job"

    def __init__(self, run: DagRun, map_index: int, try_number: int, max_tries: int) -> None:
        self._run = run
        self.run_id, self.map_index, self.try_number, self.max_tries = run.run_id, map_index, try_number, max_tries
        self.start_date = dt.datetime.now(dt.UTC)

    def xcom_push(self, key: str, value: Any) -> None:
        self._run.xcoms[self.task_id, self.map_index, key] = value

    def xcom_pull(self, *, task_ids: str, key: str) -> Any:
        found = [value for (task_id, _, name), value in self._run.xcoms.items() if (task_id, name) == (task_ids, key)]
        return (found[0] if len(found) == 1 else found) if found else None

    def get_task_states(self, *, task_ids: list[str], run_ids: list[str], **_: Any) -> dict[str, dict[str, str]]:
        return {run_ids[0]: {task_ids[0]: "running"}}


def a_try(run: DagRun, *, map_index: int = -1, number: int = 1, max_tries: int = 0) -> dict[str, Any]:
    """Return the context of a new try; as Airflow does, what the last one has pushed is gone."""
    ti = TaskInstance(run, map_index, number, max_tries)
    for place in [place for place in run.xcoms if place[:2] == (ti.task_id, map_index)]:
        del run.xcoms[place]
    store = run.stores.setdefault((ti.task_id, map_index), StateStore())
    return {"ti": ti, "dag_run": run, "task_state_store": store}
