"""The one place that knows Airflow's versions and internals."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

FAIL_METHOD = "__fail__"
"""The method name with which Airflow resumes a task whose trigger failed or was cut off."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The task instance that started a job."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1

    @classmethod
    def of(cls, context: Mapping[str, Any]) -> Owner:
        """Read the running task's identity."""
        ti = context["ti"]
        return cls(ti.dag_id, ti.run_id, ti.task_id, -1 if ti.map_index is None else ti.map_index)

    def __str__(self) -> str:
        place = "" if self.map_index < 0 else f"[{self.map_index}]"
        return f"{self.dag_id}.{self.task_id}{place} in {self.run_id}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Owner:
        """Read what :meth:`to_dict` wrote."""
        return cls(**{f.name: value[f.name] for f in fields(cls) if f.name in value})


@dataclass(frozen=True, slots=True)
class OwnerView:
    """What Airflow says of an owner.

    :param exists: False when the run or the task instance is gone.
    :param state: its state; None for a cleared task that may come back.
    :param job_id: the job that the current try has named, or None.
    """

    exists: bool
    state: str | None
    job_id: str | None = None


def mask_here(secret: str) -> None:
    """Mask a secret in the logs of this process, without a word to the supervisor: safe in a triggerer too."""
    import airflow.sdk.log

    airflow.sdk.log._secrets_masker().add_mask(secret)  # type: ignore[attr-defined]


def own_state(context: Mapping[str, Any]) -> OwnerView:
    """Ask, from the running task, what Airflow says of it. Only for the task's own process."""
    owner = Owner.of(context)
    answer = context["ti"].get_task_states(
        dag_id=owner.dag_id, map_index=owner.map_index, task_ids=[owner.task_id], run_ids=[owner.run_id]
    )
    return _view(answer, owner, None)


def supervisor_pid() -> int | None:
    """Return the process that speaks to Airflow for this task, or None where the task runs in it (``dag.test()``)."""
    from airflow.sdk.execution_time import task_runner

    comms = getattr(task_runner, "SUPERVISOR_COMMS", None)
    return os.getppid() if type(comms).__name__ == "CommsDecoder" else None


def try_is_left(context: Mapping[str, Any]) -> bool:
    """Whether Airflow will try the running task again if it fails, by the rule of its own API server."""
    ti = context["ti"]
    return bool(ti.max_tries) and ti.try_number <= ti.max_tries


def ask_owner(loop: asyncio.AbstractEventLoop, owner: Owner, timeout: float) -> OwnerView:
    """Ask, from a thread beside the triggerer's event loop, for an owner's state and the job that it has named.

    Triggers have no public call for this. Every wait is bounded: while a triggerer stops, no answer ever comes.

    :param timeout: seconds for each of the two questions.
    :raises Exception: Airflow could not be asked, for whatever reason.
    """
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import GetTaskStates, GetXCom

    comms = task_runner.SUPERVISOR_COMMS

    def ask(message: Any) -> Any:
        waiting = asyncio.run_coroutine_threadsafe(comms.asend(message), loop)
        try:
            return waiting.result(timeout=timeout)
        except TimeoutError:
            waiting.cancel()
            raise

    states = ask(
        GetTaskStates(dag_id=owner.dag_id, map_index=owner.map_index, task_ids=[owner.task_id], run_ids=[owner.run_id])
    )
    named = ask(
        GetXCom(
            key="job_id", dag_id=owner.dag_id, run_id=owner.run_id, task_id=owner.task_id, map_index=owner.map_index
        )
    )
    return _view(states.task_states, owner, getattr(named, "value", None))


def _view(answer: Mapping[str, Mapping[str, Any]], owner: Owner, job_id: Any) -> OwnerView:
    # Mapped tasks stand under task_id_<map_index>, so one index is asked for and the only value taken.
    states = list((answer.get(owner.run_id) or {}).values())
    if not states:
        return OwnerView(exists=False, state=None, job_id=job_id)
    state = states[0]
    return OwnerView(exists=True, state=None if state is None else str(getattr(state, "value", state)), job_id=job_id)


# --- outside of tasks and triggers: the command line, and a triggerer's parent process ----------------------------


def is_triggerer_starting() -> bool:
    """Whether this process is a triggerer's parent.

    Airflow tells listeners that something starts before it says what, and in every task's process too.
    """
    return "triggerer" in sys.argv[1:3]


def custom_state_backend() -> str:
    """Return the class of a task-state backend that is not Airflow's database, or an empty text."""
    from airflow.sdk import conf

    return str(conf.get("workers", "state_store_backend", fallback="") or "")


class AirflowOfTask:
    """What a running task can ask about other tasks."""

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._ti = context["ti"]

    def views(self, owners: Collection[Owner]) -> dict[Owner, OwnerView]:
        """Return what Airflow says of each owner."""
        found = {}
        for owner in owners:
            answer = self._ti.get_task_states(
                dag_id=owner.dag_id, map_index=owner.map_index, task_ids=[owner.task_id], run_ids=[owner.run_id]
            )
            found[owner] = _view(answer, owner, None)
        return found


class AirflowDatabase:
    """Airflow's metadata database. Only for processes that may use it: not in tasks, not in triggers."""

    def __init__(self) -> None:
        # Without it, connections that stand in the database are not found outside of tasks.
        os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"

    def views(self, owners: Collection[Owner]) -> dict[Owner, OwnerView]:
        """Return what Airflow says of each owner."""
        from airflow.models import TaskInstance
        from airflow.utils.session import create_session
        from sqlalchemy import select, tuple_

        runs: dict[tuple[str, str], list[Owner]] = {}
        for owner in owners:
            runs.setdefault((owner.dag_id, owner.run_id), []).append(owner)
        states: dict[Owner, str | None] = {}
        columns = (
            TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.task_id, TaskInstance.map_index, TaskInstance.state
        )  # fmt: skip
        with create_session() as session:
            for chunk in _chunks(list(runs), 200):
                rows = session.execute(
                    select(*columns).where(tuple_(TaskInstance.dag_id, TaskInstance.run_id).in_(chunk))
                )
                for dag_id, run_id, task_id, map_index, state in rows:
                    owner = Owner(dag_id, run_id, task_id, map_index)
                    states[owner] = None if state is None else str(getattr(state, "value", state))
        return {owner: OwnerView(exists=owner in states, state=states.get(owner)) for owner in owners}

    def records(
        self, key: str, *, dag_id: str | None = None, owner: Owner | None = None, without: str | None = None
    ) -> Iterator[tuple[Owner, Any]]:
        """Yield every owner's value under a key of the task state store. A custom backend's is a mere reference.

        :param without: leave out lists in which no member's value under this name is null.
        """
        import json

        from airflow.models.task_state_store import TaskStateStoreModel as Row
        from airflow.utils.session import create_session
        from sqlalchemy import or_, select

        query = select(Row.dag_id, Row.run_id, Row.task_id, Row.map_index, Row.value).where(Row.key == key)
        if dag_id is not None:
            query = query.where(Row.dag_id == dag_id)
        if owner is not None:
            query = query.where(*_of(Row, owner))
        if without is not None:
            # A coarse sieve, since most rows are of no interest: a text that merely looks like it does no harm.
            is_null = [Row.value.contains(f'"{without}":{space}null', autoescape=True) for space in ("", " ")]
            query = query.where(or_(*is_null, Row.value.not_like("[%")))
        with create_session() as session:
            rows = session.execute(query.order_by(Row.id)).all()
        for found_dag, run_id, task_id, map_index, value in rows:
            try:
                yield Owner(found_dag, run_id, task_id, map_index), json.loads(value)
            except ValueError:
                yield Owner(found_dag, run_id, task_id, map_index), None

    def change_record(self, key: str, owner: Owner, change: Callable[[Any], Any]) -> None:
        """Replace an owner's value under a key, in one transaction; nothing happens when it is gone."""
        import json

        from airflow.models.task_state_store import TaskStateStoreModel as Row
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session() as session:
            row = session.scalars(select(Row).where(Row.key == key, *_of(Row, owner)).with_for_update()).one_or_none()
            if row is not None:
                row.value = json.dumps(change(json.loads(row.value)))

    def stray_triggers(self, classpath: str) -> list[dict[str, Any]]:
        """Return the arguments of stored triggers that no task waits for. A starting triggerer deletes them."""
        from airflow.models import TaskInstance
        from airflow.models.trigger import Trigger
        from airflow.utils.session import create_session
        from sqlalchemy import select

        waiting = select(TaskInstance.trigger_id).where(
            TaskInstance.state == "deferred", TaskInstance.trigger_id.is_not(None)
        )
        with create_session() as session:
            rows = session.scalars(select(Trigger).where(Trigger.classpath == classpath, Trigger.id.not_in(waiting)))
            return [dict(row.kwargs) for row in rows]


def _of(row: Any, owner: Owner) -> list[Any]:
    return [getattr(row, name) == value for name, value in owner.to_dict().items()]


def _chunks(values: list[Any], size: int) -> Iterable[list[Any]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
