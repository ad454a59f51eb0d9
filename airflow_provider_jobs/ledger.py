"""The record of the jobs that tasks have started: written before a start and after it, read by the next try."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from airflow.sdk import NEVER_EXPIRE  # type: ignore[attr-defined]  # missing in its stub

from airflow_provider_jobs.compat import Owner
from airflow_provider_jobs.exceptions import LedgerError
from airflow_provider_jobs.jobs import history
from airflow_provider_jobs.jobs.finding import mark_hash
from airflow_provider_jobs.jobs.history import Closed, Entry
from airflow_provider_jobs.jobs.model import JobSpec, StartedJob
from airflow_provider_jobs.ledger_folder import LedgerFolder

KEY = "airflow_provider_jobs"
"""The key of an owner's record in Airflow's task state store."""


class Store(Protocol):
    """Where one owner's record is kept."""

    def load(self) -> list[dict[str, Any]]:
        """Return the entries, oldest first."""

    def save(self, entries: list[dict[str, Any]], changed: dict[str, Any]) -> None:
        """Keep the entries, of which one has changed or is new, for good, before this returns."""

    def is_mine(self) -> bool:
        """Whether the running try is still the one that Airflow knows; another may have taken its place."""


class TaskStateStore:
    """Keeps the record in Airflow's task state store, which survives retries and clears and ends with the run.

    Only for the task's own process, and not for ``on_kill``.
    """

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._store = context["task_state_store"]
        self._written = False

    def load(self) -> list[dict[str, Any]]:
        """Return the entries."""
        found = self._store.get(KEY)
        self._written = found is not None
        return list(found) if isinstance(found, list) else []

    def save(self, entries: list[dict[str, Any]], changed: dict[str, Any]) -> None:
        """Keep the entries."""
        self._store.set(KEY, entries, retention=NEVER_EXPIRE)
        self._written = True

    def is_mine(self) -> bool:
        """Whether what was written is still there: Airflow shows a try that was replaced an empty store."""
        return not self._written or self._store.get(KEY) is not None


class FolderToo:
    """Keeps the record in a folder as well, which outlives the run."""

    def __init__(self, state: Store, folder: LedgerFolder, owner: Owner) -> None:
        self._state = state
        self._folder = folder
        self._owner = owner

    def load(self) -> list[dict[str, Any]]:
        """Return the entries of both: the folder may have been configured, or the store emptied, in between."""
        return merged(self._folder.load(self._owner), self._state.load())

    def save(self, entries: list[dict[str, Any]], changed: dict[str, Any]) -> None:
        """Keep the entries in both; what one cannot keep, the other may."""
        try:
            self._folder.save(self._owner, changed)
        finally:
            self._state.save(entries, changed)

    def is_mine(self) -> bool:
        """Whether the running try is still the one that Airflow knows."""
        return self._state.is_mine()


def merged(*records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the entries of several copies of one owner's record; what knows more of a start wins."""
    found: dict[int, dict[str, Any]] = {}
    for entry in (entry for record in records for entry in record):
        other = found.get(entry["seq"])
        if other is None or _known(entry) > _known(other):
            found[entry["seq"]] = entry
    return [found[seq] for seq in sorted(found)]


def _known(entry: Mapping[str, Any]) -> int:
    if entry.get("closed"):
        return 4 if Closed(entry["closed"]).is_final else 3
    if entry.get("job"):
        return 2
    return 1 if entry.get("lost_at") else 0


def _of_others(folder: LedgerFolder, mine: Owner) -> Iterator[list[dict[str, Any]]]:
    for owner, entries in folder.owners():
        if owner != mine:
            yield entries


class Ledger:
    """One owner's record.

    :param generation: of the current try.
    :param clears: of the run, so far; None where Airflow does not say.
    :param others: reads the entries of other owners; None where a task cannot.
    """

    def __init__(
        self,
        store: Store,
        *,
        generation: int,
        clears: int | None = None,
        others: Callable[[], Iterable[list[dict[str, Any]]]] | None = None,
    ) -> None:
        self._store = store
        self._others = others
        self.generation = generation
        self.clears = clears
        self.entries: tuple[Entry, ...] = tuple(map(Entry.from_dict, store.load()))

    @classmethod
    def of(cls, context: Mapping[str, Any]) -> Ledger:
        """Read the running task's record. ``max_tries`` grows when a finished or deferred task is cleared.

        :raises LedgerError: it cannot be read.
        """
        store = TaskStateStore(context)
        folder = LedgerFolder.configured()
        clears = getattr(context.get("dag_run"), "clear_number", None)
        generation = context["ti"].max_tries
        if folder is None:
            return cls(store, generation=generation, clears=clears)
        owner = Owner.of(context)
        others = functools.partial(_of_others, folder, owner)
        return cls(FolderToo(store, folder, owner), generation=generation, clears=clears, others=others)

    def is_mine(self) -> bool:
        """Whether the running try is still the one that Airflow knows."""
        return self._store.is_mine()

    def plan(self, conn_id: str, spec: JobSpec) -> history.Plan:
        """Decide what to do about earlier starts."""
        return history.plan(
            self.entries,
            generation=self.generation,
            fingerprint=history.fingerprint(conn_id, spec),
            clears=self.clears,
        )

    def intend(self, conn_id: str, spec: JobSpec, request: str, *, leave: bool, mark: str | None = None) -> Entry:
        """Write down that a start is about to be sent.

        :param mark: what the service's list shows of the job; only its hash is kept.
        """
        entry = Entry(
            seq=history.next_seq(self.entries),
            generation=self.generation,
            clears=self.clears,
            fingerprint=history.fingerprint(conn_id, spec),
            conn_id=conn_id,
            service=spec.service,
            kind=spec.kind,
            request=request,
            intent_at=time.time(),
            leave=leave,
            api_version=spec.api_version,
            mark=mark_hash(mark),
        )
        try:
            self._write(entry)
        except BaseException:
            # Nothing is sent now, and what was written in part must not look like an unanswered start to the retry.
            with contextlib.suppress(Exception):
                self._write(history.closed(entry, Closed.NOT_STARTED))
            raise
        return entry

    def started(self, entry: Entry, job: StartedJob) -> Entry:
        """Write down the id."""
        known = dataclasses.replace(entry, job=job)
        self._write(known)
        return known

    def lost(self, entry: Entry, sent_at: float | None, lost_at: float | None) -> Entry:
        """Write down between which moments a start was sent whose answer was lost."""
        known = dataclasses.replace(entry, sent_at=sent_at, lost_at=lost_at)
        self._write(known)
        return known

    @property
    def knows_others(self) -> bool:
        """Whether a task can read what others have started: that takes a ledger folder."""
        return self._others is not None

    def of_others(self) -> Iterator[Entry]:
        """Yield what is on record of other tasks: all that this deployment has written into the ledger folder.

        :raises LedgerError: it cannot be read.
        """
        for entries in self._others() if self._others is not None else ():
            try:
                read = [Entry.from_dict(entry) for entry in entries]
            except (KeyError, TypeError, ValueError) as error:
                raise LedgerError(f"the record of another task is none of this version: {error}") from error
            yield from read

    def close(self, entry: Entry, why: Closed) -> None:
        """Write down that nobody has to see to it any more."""
        self._write(history.closed(entry, why))

    def entry_of(self, job_id: str) -> Entry | None:
        """Return the open entry of a job."""
        return next((e for e in self.entries if e.is_open and e.job and e.job.ref.job_id == job_id), None)

    def _write(self, entry: Entry) -> None:
        entries = history.with_entry(self.entries, entry)
        self._store.save([kept.to_dict() for kept in entries], entry.to_dict())
        self.entries = entries
