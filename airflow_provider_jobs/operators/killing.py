"""Ending a job because its task ends: in Airflow's signal handler, and again where the wait stood."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from airflow_provider_jobs.compat import OwnerView, supervisor_pid
from airflow_provider_jobs.exceptions import JobKilledError, JobNotCancelledError, RemoteJobsError
from airflow_provider_jobs.hooks.base import RemoteJobsHook
from airflow_provider_jobs.jobs.history import may_be_anothers, waits_for_next_try
from airflow_provider_jobs.jobs.model import StartedJob

HANDLER_TIME = 4.5
"""Seconds that the signal handler waits for the cancel; Airflow sends SIGKILL five seconds after SIGTERM."""
ASK_TIME = 2.0
"""Seconds of them in which Airflow may say what has become of the task; the rest is the cancel's."""
SLICE = 0.2
"""Seconds after which a wait notices a kill."""
_BEFORE_A_TRY = frozenset({"scheduled", "queued"})
"""States of a task whose next process has not begun: not this one's, which is running."""


def _is_anothers(view: OwnerView, is_mine: bool) -> bool:
    """Whether another try has taken this one's place, or is about to: whatever happens here, the job is its.

    A scheduler that was restarted begins a new try beside this one, and then has this one killed.
    """
    if not view.exists:
        return False
    return view.state in _BEFORE_A_TRY or (not is_mine and may_be_anothers(view.state))


class _Watch:
    """Whether a thread that stands by has done what it can; each has its own, since a task may see several jobs."""

    is_over = False


class Killer:
    """Knows the job that a running task owns, and ends it when it must be ended.

    Airflow's signal handler runs ``on_kill`` on the main thread, in the middle of anything: it must not touch a
    connection pool, a log or any lock, because the interrupted code may hold it. So a thread with a session of its own
    stands by from the start of the job on, and the handler only writes a byte and waits for it.

    :param cancels: whether a kill cancels the job.
    :param ask: asks Airflow for the owner's state, and whether another try has taken this one's place; may take its
        time, may raise.
    :param may_leave: a try is left, and the job is meant to outlive this one: then it is cancelled only when Airflow
        says that the task is over. Without an answer, it is left.
    """

    def __init__(
        self,
        hook: RemoteJobsHook,
        *,
        cancels: bool,
        log: Any,
        ask: Callable[[], tuple[OwnerView, bool]] | None = None,
        may_leave: bool = False,
    ) -> None:
        self._hook = hook
        self._cancels = cancels
        self._log = log
        self._ask = ask
        self._may_leave = may_leave and ask is not None
        self._job: StartedJob | None = None
        self._wake: int | None = None
        self._interrupt: Any = None
        self._supervisor = supervisor_pid()
        self._watch = _Watch()
        self.killed = False

    @property
    def job(self) -> StartedJob | None:
        """The job that is still owned."""
        return self._job

    def owns(self, job: StartedJob) -> None:
        """Take charge of a job that has just been started, or that a resumed task came back to."""
        self.arm()
        self._job = job

    def arm(self) -> None:
        """Get everything ready that may fail: called before there is a job."""
        # Read now: a signal handler must not ask Airflow for a connection.
        _ = self._hook.credentials
        if self._cancels and self._wake is None:
            listen, self._wake = os.pipe()
            self._watch = _Watch()
            threading.Thread(target=self._stand_by, args=(listen, self._watch), name="cancel-job", daemon=True).start()
        self._heed_interrupts()

    def disarm(self) -> None:
        """The job is over or somebody else's now: nothing ends it any more."""
        self._job = None
        if self._wake is not None:
            wake, self._wake = self._wake, None
            os.close(wake)
        if self._interrupt is not None:
            signal.signal(signal.SIGINT, self._interrupt)
            self._interrupt = None

    def _heed_interrupts(self) -> None:
        # Airflow calls on_kill at SIGTERM only; at SIGINT, a task's process would just die.
        if self._interrupt is not None or threading.current_thread() is not threading.main_thread():
            return
        before = signal.getsignal(signal.SIGINT)
        if before in {signal.SIG_IGN, None}:
            return

        def interrupted(number: int, frame: Any) -> None:
            self.kill()
            if callable(before):
                before(number, frame)

        self._interrupt = before
        signal.signal(signal.SIGINT, interrupted)

    def check(self) -> None:
        """Raise when the task has been killed.

        :raises JobKilledError: it was.
        """
        if self.killed:
            raise JobKilledError("the task was told to stop")
        if self._is_abandoned():
            raise JobKilledError("the process that supervises the task is gone: Airflow counts this try as lost")

    def sleep(self, seconds: float) -> None:
        """Wait, and end the wait when the task is killed.

        In slices, because an Event's lock is not safe against a signal handler that sets it.

        :raises JobKilledError: it was.
        """
        end = time.monotonic() + seconds
        self.check()
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(SLICE, left))
            self.check()

    def kill(self) -> None:
        """Note the kill and have one DELETE sent. For the signal handler: no log, no lock, bounded in time."""
        self.killed = True
        watch = self._watch
        if self._job is None or self._wake is None or watch.is_over:
            return
        with contextlib.suppress(OSError):
            os.write(self._wake, b"!")
        end = time.monotonic() + HANDLER_TIME
        while not watch.is_over and time.monotonic() < end:
            time.sleep(0.02)

    def _stand_by(self, listen: int, watch: _Watch) -> None:
        try:
            if os.read(listen, 1) and (job := self._job) is not None:
                self._act(job, watch)
        finally:
            watch.is_over = True
            os.close(listen)

    def _act(self, job: StartedJob, watch: _Watch) -> None:
        if self.is_left():
            return
        try:
            self._hook.cancel_quickly(job.ref)
        except RemoteJobsError as error:
            watch.is_over = True
            self._log.error("The kill could not cancel %s: %s", job.ref, error)
        else:
            watch.is_over = True
            self._log.info("The task was killed: asked %s to cancel %s", self._hook.service.label, job.ref)

    def is_left(self, *, final: bool = False) -> bool:
        """Whether the job is left for another try.

        :param final: this try's end is the task's, as far as this try knows.
        """
        may_leave = self._may_leave and not final
        if self._is_abandoned():
            return self._may_leave
        answer = self._ask_airflow()
        if answer is None:
            return may_leave
        view, is_mine = answer
        return _is_anothers(view, is_mine) or waits_for_next_try(view.state, exists=view.exists, may_leave=may_leave)

    def _is_abandoned(self) -> bool:
        return self._supervisor is not None and os.getppid() != self._supervisor

    def _ask_airflow(self) -> tuple[OwnerView, bool] | None:
        """Ask for a bounded time what has become of the task.

        In a thread of its own, because the answer may never come: the interrupted main thread can hold Airflow's lock.
        """
        if self._ask is None or self._is_abandoned():
            return None
        ask, answers = self._ask, list[tuple[OwnerView, bool]]()

        def question() -> None:
            try:
                answers.append(ask())
            except Exception as error:
                self._log.warning("Airflow could not be asked what has become of the task: %s", error)

        thread = threading.Thread(target=question, name="ask-owner", daemon=True)
        thread.start()
        thread.join(ASK_TIME)
        return answers[0] if answers else None

    def cancel_surely(self, why: str) -> None:
        """Cancel the job that is still owned, verified and repeated for little more than a minute.

        :raises JobNotCancelledError: it may still run.
        """
        job = self._job
        if job is None:
            return
        try:
            outcome = self._hook.cancel(job.ref, started_at=job.started_at)
        except JobNotCancelledError:
            raise
        except Exception as error:
            raise JobNotCancelledError(f"{job.ref} may still run, it could not be cancelled: {error}") from error
        self.disarm()
        self._log.info("Ended because %s: %s", why, outcome.note)
