"""A start whose answer was lost: its job is looked for in what the service lists, before anybody is told to do so."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from airflow_provider_jobs.exceptions import JobKilledError, LedgerError, StartUncertainError
from airflow_provider_jobs.hooks.base import RemoteJobsHook
from airflow_provider_jobs.hooks.lost import longest_start, seek
from airflow_provider_jobs.hooks.registry import hook_for
from airflow_provider_jobs.jobs.finding import Found, LostStart, NotFound
from airflow_provider_jobs.jobs.history import Entry, fingerprint
from airflow_provider_jobs.jobs.model import JobSpec, StartedJob
from airflow_provider_jobs.ledger import Ledger

PAUSES = (2.0, 5.0, 10.0)
"""Seconds before each look: the service may still be about to make the job, or to list it."""
JITTER = 0.25
"""By how much a pause may be longer: tasks that have lost their starts at one moment must not look at one moment."""
LOOK_TIME = 15.0
"""Seconds for one look at the list."""
RECORD_TIME = 30.0
"""Seconds for reading what is on record of other tasks."""
CLAIM = "found_job_id"
"""The XCom by which a mapped task tells the others which job it is about to take for its own."""


class Others:
    """What other tasks have started, as far as a task can learn it.

    That is what stands in its own record, in a ledger folder, and, of a mapped task, in the XComs of the same run.

    :param context: of the running task; None: only the record.
    :param check: raises when the task was killed.
    """

    def __init__(
        self,
        ledger: Ledger,
        context: Mapping[str, Any] | None = None,
        *,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._ledger = ledger
        self._ti: Any = context["ti"] if context is not None else None
        self._check = check

    def record(self, mine: Entry) -> Iterator[Entry]:
        """Yield all starts that are known of but this one.

        :raises LedgerError: the record of other tasks cannot be read, or not in time.
        """
        yield from (entry for entry in self._ledger.entries if entry.seq != mine.seq)
        end = time.monotonic() + RECORD_TIME
        for entry in self._ledger.of_others():
            self._check()
            if time.monotonic() > end:
                raise LedgerError(f"what other tasks have started could not be read within {RECORD_TIME:g} s")
            yield entry

    @property
    def are_known(self) -> bool:
        """Whether it can be told from what others have started."""
        return self._ledger.knows_others

    @property
    def _is_mapped(self) -> bool:
        return self._ti is not None and self._ti.map_index is not None and self._ti.map_index >= 0

    def taken(self) -> set[str]:
        """Return the ids of jobs that mapped tasks beside this one have named, or are about to take."""
        if not self._is_mapped:
            return set()
        claims = [claim for claim in self._pull(CLAIM) if isinstance(claim, dict)]
        others = {str(claim.get("job_id")) for claim in claims if claim.get("map_index") != self._ti.map_index}
        return others | {str(job_id) for job_id in self._pull("job_id")}

    def claim(self, job_id: str) -> None:
        """Tell the mapped tasks beside this one that it is about to take this job for its own."""
        if self._is_mapped:
            self._ti.xcom_push(key=CLAIM, value={"map_index": self._ti.map_index, "job_id": job_id})

    def _pull(self, key: str) -> list[Any]:
        # Without map indexes: those of all mapped tasks. A single value comes without its list.
        found = self._ti.xcom_pull(task_ids=self._ti.task_id, key=key)
        values = found if isinstance(found, list) else [found]
        return [value for value in values if value is not None]


def find_now(
    hook: RemoteJobsHook,
    entry: Entry,
    error: StartUncertainError,
    *,
    asked: int | None,
    others: Others,
    sleep: Callable[[float], None],
    log: Any,
) -> StartedJob:
    """Look a few times for the job of a start that has just lost its answer.

    It counts as found when two looks in a row, or the last one, name the same job: an equal start of another task may
    be listed a little earlier than ours.

    :param sleep: waits so many seconds; raises to end the search.
    :raises StartUncertainError: it was not found.
    """
    lost = LostStart.of(entry, longest=longest_start(hook), asked=asked)
    before: Found | None = None
    reason = ""
    for number, seconds in enumerate(PAUSES, 1):
        sleep(seconds * (1.0 + JITTER * random.random()))  # noqa: S311
        answer = _seek(hook, lost, entry, others, log)
        if isinstance(answer, Found) and answer != before:
            answer = _claimed(others, answer, log)
        if isinstance(answer, NotFound):
            before, reason = None, answer.reason
            if answer.is_final:
                break
            continue
        if answer == before or number == len(PAUSES):
            log.warning(
                "No usable answer came to the start, but %s lists the job: going on with %s",
                hook.service.label, answer.ref,
            )  # fmt: skip
            return StartedJob(answer.ref, lost.begin, asked)
        before = answer
    raise StartUncertainError(
        f"{error} {_searched(hook, reason)}", sent_at=error.sent_at, lost_at=error.lost_at
    ) from error


def recover(ledger: Ledger, hook: RemoteJobsHook, spec: JobSpec, *, others: Others, log: Any) -> dict[int, str]:
    """Look once for the job of each start of an earlier try that was never answered, and write down what is found.

    :returns: by the number of the entry, a sentence for each that was not found.
    """
    told: dict[int, str] = {}
    for entry in ledger.entries:
        if not entry.is_open or entry.job is not None:
            continue
        try:
            same = (entry.service, entry.conn_id) == (hook.service.name, hook.conn_id)
            owner = hook if same else hook_for(entry.service, entry.conn_id)
            is_ours = entry.fingerprint == fingerprint(hook.conn_id, spec)
            lost = LostStart.of(entry, longest=longest_start(owner), asked=spec.asked if is_ours else None)
        except Exception as error:
            log.warning("The unanswered start of an earlier try cannot be looked for: %s", error)
            told[entry.seq] = f"It could not be looked for: {error}."
            continue
        answer = _seek(owner, lost, entry, others, log)
        if isinstance(answer, Found):
            answer = _claimed(others, answer, log)
        if isinstance(answer, NotFound):
            told[entry.seq] = _searched(owner, answer.reason)
            continue
        log.warning("The start of an earlier try was never answered, but its job is listed: %s", answer.ref)
        ledger.started(entry, StartedJob(answer.ref, lost.begin, lost.asked))
    return told


def _seek(hook: RemoteJobsHook, lost: LostStart, entry: Entry, others: Others, log: Any) -> Found | NotFound:
    try:
        found = seek(hook, lost, record=others.record(entry), taken=others.taken(), time_limit=LOOK_TIME)
        if isinstance(found, Found) and not others.are_known:
            # A list shows little of a request: an equal start of another run, while ours never arrived, looks the same.
            return NotFound(
                f"only {found.ref.job_id} fits, but without a ledger folder ([airflow_provider_jobs] ledger_path) a "
                "task cannot tell whether it is another one's; look at it",
                is_final=True,
            )
        return found
    except JobKilledError:
        raise
    except Exception as error:
        # Whatever it was: the question stays as open as it is without a search.
        log.warning("The job of the unanswered start could not be looked for: %s", error)
        return NotFound(f"it could not be asked ({error})")


def _claimed(others: Others, found: Found, log: Any) -> Found | NotFound:
    """Claim a job. Of mapped tasks that do so at one moment, each sees the other's claim, and none takes the job."""
    try:
        others.claim(found.ref.job_id)
        taken = others.taken()
    except Exception as error:
        log.warning("Other mapped tasks could not be told of %s: %s", found.ref, error)
        return NotFound("other mapped tasks could not be asked whether the job that is listed is theirs")
    return NotFound("another mapped task may take the job that is listed") if found.ref.job_id in taken else found


def _searched(hook: RemoteJobsHook, reason: str) -> str:
    return f"What {hook.service.label} lists was searched for it: {reason}."
