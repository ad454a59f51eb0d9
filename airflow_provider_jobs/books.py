"""All records of starts that one process can read: Airflow's database, the ledger folder, and stray triggers."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_jobs.compat import AirflowDatabase, Owner, custom_state_backend
from airflow_provider_jobs.exceptions import LedgerError
from airflow_provider_jobs.jobs import history
from airflow_provider_jobs.jobs.history import Closed, Entry
from airflow_provider_jobs.jobs.model import StartedJob
from airflow_provider_jobs.ledger import KEY, merged
from airflow_provider_jobs.ledger_folder import SECTION, LedgerFolder

TRIGGER = "airflow_provider_jobs.triggers.job.JobTrigger"


@dataclass(frozen=True, slots=True)
class Record:
    """One start of one owner.

    :param is_newest: the owner has started nothing since.
    :param in_folder: it stands in the ledger folder, which other Airflows may share.
    :param is_stray: a stored trigger names it that no task waits for: Airflow is about to delete that trigger.
    """

    owner: Owner
    entry: Entry
    is_newest: bool = True
    in_folder: bool = False
    is_stray: bool = False

    @property
    def job(self) -> StartedJob | None:
        """The job; None as long as no id is known."""
        return self.entry.job

    def __str__(self) -> str:
        what = str(self.job.ref) if self.job else f"{self.entry.service} {self.entry.kind} without an id"
        return f"{what} of {self.owner}"


class Books:
    """Where starts are recorded.

    :param database: Airflow's, or None in a task, which may not use it.
    :param folder: the ledger folder, or None.
    :param reads_folder: False leaves the folder, which may be large, to :meth:`is_open`.
    """

    def __init__(
        self, database: AirflowDatabase | None, folder: LedgerFolder | None, *, reads_folder: bool = True
    ) -> None:
        self._database = database
        self._folder = folder
        self._reads_folder = reads_folder
        self.problems: list[str] = []

    def read(self, *, dag_id: str | None = None, open_only: bool = False) -> Iterator[Record]:
        """Yield every start on record; what cannot be read is named in :attr:`problems` afterwards.

        :param open_only: leave out tasks of whose starts all are closed.
        """
        self.problems.clear()
        in_state, unreadable = self._read_state(dag_id, open_only)
        in_folder = self._read_folder(dag_id, open_only)
        backend = custom_state_backend() if self._database is not None else ""
        if (backend or unreadable) and self._folder is None:
            self.problems.append(
                f"the task states are kept by {backend or 'a custom backend'} ([workers] state_store_backend), which "
                f"cannot be read from here: set [{SECTION}] ledger_path, so that starts are recorded in a folder too"
            )
        strays = {_key(record): record for record in self._read_triggers(dag_id)}
        # What is closed may be the very thing to know of a trigger that nobody waits for any more.
        for owner in {record.owner for record in strays.values()}:
            in_state |= self._read_state(dag_id, False, owner)[0]
            in_folder |= self._read_folder(dag_id, False, owner)
        # What is open here may be closed there: a task that cleans up writes to the folder alone.
        for owner in in_state.keys() - in_folder.keys() if open_only else ():
            in_folder |= self._read_folder(dag_id, False, owner)
        for owner in dict.fromkeys([*in_state, *in_folder]):
            records = in_folder.get(owner, []), in_state.get(owner, [])
            for record in self._records(owner, *records, in_folder=owner in in_folder):
                stray = strays.pop(_key(record), None)
                yield dataclasses.replace(record, is_stray=stray is not None)
        # Of a deleted run, nothing but the trigger is left.
        yield from strays.values()

    def some_owners(self, number: int) -> list[Owner]:
        """Return some owners in the ledger folder, also such of whom all is closed."""
        return [] if self._folder is None else [owner for owner, _ in self._folder.owners(sample=number)]

    def is_open(self, record: Record) -> bool:
        """Read a start's record again: whether somebody has to see to the job still, for all that is known now.

        :raises Exception: it could not be read.
        """
        copies = [] if self._folder is None else [self._folder.load(record.owner)]
        if self._database is not None:
            found = dict(self._database.records(KEY, owner=record.owner))
            copies += [value for value in found.values() if isinstance(value, list)]
        job = record.job
        same = [
            entry
            for entry in map(Entry.from_dict, merged(*copies))
            if entry.job is not None and job is not None and entry.job.ref.job_id == job.ref.job_id
        ]
        return all(entry.is_open for entry in same)

    def close(self, record: Record, why: Closed) -> None:
        """Write down that nobody has to see to a job any more.

        :raises Exception: that could not be written.
        """
        closed = history.closed(record.entry, why).to_dict()
        if record.in_folder and self._folder is not None:
            self._folder.save(record.owner, closed)
        if record.entry.seq and self._database is not None:
            self._database.change_record(KEY, record.owner, lambda entries: _with_closed(entries, closed))

    # --- reading ----------------------------------------------------------------------------------------------

    def _read_state(
        self, dag_id: str | None, open_only: bool, owner: Owner | None = None
    ) -> tuple[dict[Owner, list[dict[str, Any]]], bool]:
        found: dict[Owner, list[dict[str, Any]]] = {}
        unreadable = False
        if self._database is not None:
            sieve = "closed" if open_only else None
            for found_owner, value in self._database.records(KEY, dag_id=dag_id, owner=owner, without=sieve):
                if isinstance(value, list):
                    found[found_owner] = value
                else:
                    unreadable = True
        return found, unreadable

    def _read_folder(
        self, dag_id: str | None, open_only: bool, owner: Owner | None = None
    ) -> dict[Owner, list[dict[str, Any]]]:
        if self._folder is None or not self._reads_folder:
            return {}
        try:
            if owner is not None:
                return {owner: found} if (found := self._folder.load(owner)) else {}
            return dict(self._folder.owners(dag_id=dag_id, open_only=open_only, problems=self.problems))
        except LedgerError as error:
            self.problems.append(str(error))
            return {}

    def _records(self, owner: Owner, *copies: list[dict[str, Any]], in_folder: bool) -> list[Record]:
        try:
            read = [Entry.from_dict(entry) for entry in merged(*copies)]
        except (KeyError, TypeError, ValueError) as error:
            self.problems.append(f"the record of {owner} is none of this version: {type(error).__name__}: {error}")
            return []
        newest = max((entry.seq for entry in read), default=0)
        return [Record(owner, entry, entry.seq == newest, in_folder) for entry in read]

    def _read_triggers(self, dag_id: str | None) -> Iterator[Record]:
        for arguments in self._database.stray_triggers(TRIGGER) if self._database is not None else ():
            try:
                record = _of_trigger(arguments)
            except (KeyError, TypeError, ValueError) as error:
                self.problems.append(f"a stored trigger is none of this version: {type(error).__name__}: {error}")
                continue
            if record is not None and dag_id in {None, record.owner.dag_id}:
                yield record


def _of_trigger(arguments: Mapping[str, Any]) -> Record | None:
    if not arguments.get("owner") or not arguments.get("cancel_on_kill", True):
        return None
    deadline = arguments.get("deadline")
    if not arguments.get("cancel_at_deadline", True) and deadline is not None and deadline < time.time():
        # A sensor's: perhaps nobody killed it, but Airflow ended its wait, and then the job goes on.
        return None
    job = StartedJob.from_dict(arguments["job"])
    entry = Entry(
        seq=0,
        generation=0,
        fingerprint="",
        conn_id=str(arguments["conn_id"]),
        service=job.ref.service,
        kind=job.ref.kind,
        request="",
        intent_at=job.started_at,
        job=job,
    )
    return Record(Owner.from_dict(arguments["owner"]), entry, is_stray=True)


def _key(record: Record) -> tuple[Owner, str, str | None]:
    return record.owner, record.entry.conn_id, record.job.ref.job_id if record.job else None


def _with_closed(entries: Any, closed: Mapping[str, Any]) -> Any:
    """Return an owner's entries with one of them closed; what has changed meanwhile stays."""
    if not isinstance(entries, list):
        return entries
    return [
        {**entry, "closed": closed["closed"]} if entry["seq"] == closed["seq"] and _may_close(entry) else entry
        for entry in entries
    ]


def _may_close(entry: Mapping[str, Any]) -> bool:
    return not entry.get("closed") or not Closed(entry["closed"]).is_final


def all_books(*, reads_folder: bool = True) -> tuple[Books, AirflowDatabase]:
    """Return all that a process of the server can read.

    :param reads_folder: as of :class:`Books`.
    :raises LedgerSettingsError: the configuration is incomplete.
    """
    database = AirflowDatabase()
    return Books(database, LedgerFolder.configured(), reads_folder=reads_folder), database
