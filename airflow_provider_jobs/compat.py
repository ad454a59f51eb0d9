"""The one place that knows Airflow's versions and internals."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
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
