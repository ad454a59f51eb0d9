"""One trigger for the jobs of every service."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_jobs.compat import Owner, OwnerView, ask_owner
from airflow_provider_jobs.exceptions import ConnectionSettingsError, RemoteJobsError, TransportError
from airflow_provider_jobs.hooks.base import RemoteJobsHook
from airflow_provider_jobs.hooks.registry import hook_for
from airflow_provider_jobs.jobs.event import JobEvent, Outcome
from airflow_provider_jobs.jobs.history import waits_for_next_try
from airflow_provider_jobs.jobs.model import StartedJob
from airflow_provider_jobs.jobs.progress import Progress
from airflow_provider_jobs.jobs.verdict import GiveUp, Over, TimedOut, Wait, Watch
from airflow_provider_jobs.tasks import log_look
from airflow_provider_jobs.transport.asynchronous import AsyncTransport

FORMAT = 1
_PLAIN_ID = re.compile(r"[\w-]+")
"""An id of a service; what an XCom backend keeps elsewhere is a reference, such as an address."""
LAST_LOOK = 5.0
"""Seconds for the look that is made although the deadline has passed, as after a triggerer that was away."""
ASK_TIMEOUT = 8.0
"""Seconds for a question to Airflow at kill time; the first one of a fresh triggerer takes several."""
KILL_PAUSES = (0.5, 1.0, 2.0, 4.0, 4.0)
"""Seconds between the attempts of a cancel at kill time. A stopping triggerer waits about twenty for its threads."""


class JobTrigger(BaseTrigger):
    """Waits in the triggerer until a job is over, or its deadline passes.

    The arguments are plain JSON without a secret, and the wait can be taken up from them by any triggerer at any time.

    :param conn_id: the Airflow connection.
    :param job: a :class:`StartedJob` as plain JSON.
    :param owner: the task instance that started the job, as plain JSON; needed to cancel on a kill.
    :param deadline: wall-clock end of the wait in seconds since the epoch, or None.
    :param poll_interval: the longest pause between two looks, in seconds.
    :param cancel_on_kill: whether a user's kill of the task cancels the job.
    :param cancel_at_deadline: whether the deadline does, and an error that ends the wait.
    :param leave_when_lost: a wait that ends because looks failed for too long leaves the job to the task's next try.
    :param format: version of these arguments, as stored.
    """

    def __init__(
        self,
        *,
        conn_id: str,
        job: Mapping[str, Any],
        owner: Mapping[str, Any] | None = None,
        deadline: float | None = None,
        poll_interval: float = 30.0,
        cancel_on_kill: bool = True,
        cancel_at_deadline: bool = True,
        leave_when_lost: bool = False,
        format: int = FORMAT,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.conn_id = conn_id
        self.job = StartedJob.from_dict(job)
        self.owner = Owner.from_dict(owner) if owner else None
        self.deadline = deadline
        self.poll_interval = poll_interval
        self.cancel_on_kill = cancel_on_kill
        self.cancel_at_deadline = cancel_at_deadline
        self.leave_when_lost = leave_when_lost
        self.format = format
        self._fired = False
        self._hook: RemoteJobsHook | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and its arguments as plain JSON."""
        return (
            "airflow_provider_jobs.triggers.job.JobTrigger",
            {
                "conn_id": self.conn_id,
                # The triggerer reads this row every second; the names are the task's business.
                "job": {**self.job.to_dict(), "refused_names": []},
                "owner": self.owner.to_dict() if self.owner else None,
                "deadline": self.deadline,
                "poll_interval": self.poll_interval,
                "cancel_on_kill": self.cancel_on_kill,
                "cancel_at_deadline": self.cancel_at_deadline,
                "leave_when_lost": self.leave_when_lost,
                "format": self.format,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield one event."""
        event = await self._wait()
        self._fired = True
        yield TriggerEvent(event.to_payload())  # type: ignore[no-untyped-call]

    async def _wait(self) -> JobEvent:
        self._hook = hook = hook_for(self.job.ref.service, self.conn_id)
        watch = Watch(
            started_at=self.job.started_at,
            deadline=self.deadline,
            poll_interval=self.poll_interval,
            floor=hook.service.floor,
        )
        verdict: Over | TimedOut | GiveUp | None = await self._read_settings(hook, watch)
        if verdict is None:
            try:
                async with hook.aconn() as transport:
                    verdict = await self._watch(hook, transport, watch)
            except RemoteJobsError as error:
                verdict = GiveUp(error)
        ref = self.job.ref
        if isinstance(verdict, Over):
            self.log.info("%s is over: %s", ref, verdict.status.describe())
            return JobEvent(Outcome.OVER, ref, verdict.status)
        if isinstance(verdict, TimedOut):
            cancelled = self.cancel_at_deadline and await self._cancel_in_thread("its deadline has passed")
            return JobEvent(Outcome.TIMED_OUT, ref, verdict.status, cancelled=cancelled)
        lost = verdict.error
        ends = self.cancel_at_deadline and (lost.permanent or not self.leave_when_lost)
        cancelled = ends and await self._cancel_in_thread("it cannot be watched any more")
        return JobEvent(Outcome.GAVE_UP, ref, error=str(lost), permanent=lost.permanent, cancelled=cancelled)

    async def _read_settings(self, hook: RemoteJobsHook, watch: Watch) -> TimedOut | GiveUp | None:
        """Read the connection, which is needed for the kill too; a secrets backend may be away for a while."""
        while True:
            try:
                await hook.aendpoint()
            except ConnectionSettingsError as error:
                return GiveUp(error)
            except Exception as error:
                unreadable = TransportError(f"connection {self.conn_id} could not be read: {error}", sent=False)
                self.log.warning("%s", unreadable)
                verdict = watch.missed(unreadable, time.time())
                if not isinstance(verdict, Wait):
                    return verdict
                await asyncio.sleep(verdict.seconds)
            else:
                return None

    async def _watch(self, hook: RemoteJobsHook, transport: AsyncTransport, watch: Watch) -> Over | TimedOut | GiveUp:
        progress = Progress()
        while True:
            verdict: Wait | Over | TimedOut | GiveUp
            try:
                async with asyncio.timeout(self._left()):
                    status = await transport.run(hook.service.look(self.job.ref))
            except TimeoutError:
                verdict = TimedOut(watch.last)
            except RemoteJobsError as error:
                verdict = watch.missed(error, time.time())
                self.log.warning("A look at %s failed: %s", self.job.ref, error)
            else:
                verdict = watch.saw(status, time.time())
                log_look(self.log, self.job.ref, progress, status)
            if not isinstance(verdict, Wait):
                return verdict
            await asyncio.sleep(verdict.seconds)

    def _left(self) -> float | None:
        # A look that hangs must not outlast the deadline; one look there is in any case.
        return None if self.deadline is None else max(LAST_LOOK, self.deadline - time.time())

    async def on_kill(self) -> None:
        """Cancel the job because a user ended the task, after making sure that this is what happened.

        Airflow aborts this coroutine about a second after it began, and a stopping triggerer waits only for threads of
        the loop's default executor: the work is done in one of those.
        """
        if self._fired or not self.cancel_on_kill:
            return
        loop = asyncio.get_running_loop()
        await asyncio.shield(loop.run_in_executor(None, self._kill, loop))

    def _kill(self, loop: asyncio.AbstractEventLoop) -> None:
        self._read_connection(loop)
        if self._is_still_owned(loop):
            self.log.info("%s is left running: it was handed over, not killed", self.job.ref)
            return
        self._cancel("the task was killed")

    def _read_connection(self, loop: asyncio.AbstractEventLoop) -> None:
        # Only when the kill came before run() got that far. A thread of the triggerer must not ask synchronously.
        if self._hook is None:
            self._hook = hook_for(self.job.ref.service, self.conn_id)
        if self._hook.is_ready:
            return
        try:
            asyncio.run_coroutine_threadsafe(self._hook.aendpoint(), loop).result(ASK_TIMEOUT)
        except Exception as error:
            self.log.error("The connection %s could not be read: %s", self.conn_id, error)

    def _is_still_owned(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether the owner still waits for this very job: then another triggerer took over, and nobody killed it."""
        if self.owner is None:
            return False
        try:
            view: OwnerView = ask_owner(loop, self.owner, ASK_TIMEOUT)
        except Exception as error:
            self.log.warning("Airflow could not be asked about the owner of %s (%s)", self.job.ref, error)
            return False
        if is_plain_id(view.job_id) and view.job_id != self.job.ref.job_id:
            return False
        # Also while a later try goes on with the job, or has not named it yet; a clear is the new try's business, which
        # ends the job itself.
        return waits_for_next_try(view.state, exists=view.exists, may_leave=True)

    async def _cancel_in_thread(self, why: str) -> bool:
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(None, self._cancel, why))

    def _cancel(self, why: str) -> bool:
        """Cancel the job from a thread; return whether it is over. Never raises."""
        try:
            hook = self._hook or hook_for(self.job.ref.service, self.conn_id)
            outcome = hook.cancel(self.job.ref, pauses=KILL_PAUSES, started_at=self.job.started_at)
        except Exception as error:
            self.log.error("%s may still run; cancelling it because %s failed: %s", self.job.ref, why, error)
            return False
        self.log.info("Cancelled because %s: %s", why, outcome.note)
        return True


def is_plain_id(value: object) -> bool:
    """Whether an XCom's value is a job's id, and not a reference to where an XCom backend keeps it, or nothing."""
    return isinstance(value, str) and _PLAIN_ID.fullmatch(value) is not None
