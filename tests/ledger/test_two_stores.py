"""A record that is kept in two places, of which one fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_jobs.compat import Owner
from airflow_provider_jobs.exceptions import LedgerError
from airflow_provider_jobs.jobs.history import Closed
from airflow_provider_jobs.jobs.model import JobRef, JobSpec, StartedJob
from airflow_provider_jobs.ledger import FolderToo, Ledger
from airflow_provider_jobs.ledger_folder import LedgerFolder

OWNER = Owner("dag", "run", "task")
SPEC = JobSpec("firecrawl", "batch_scrape", {"urls": ["https://a.test/"]}, "v1")
JOB = StartedJob(JobRef("firecrawl", "batch_scrape", "id-1", "v1"), 1000.0)


class State:
    """The first store, which can be away for some writes."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.failures = 0

    def load(self) -> list[dict[str, Any]]:
        return self.entries

    def save(self, entries: list[dict[str, Any]], changed: dict[str, Any]) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the API server is away")
        self.entries = entries

    def is_mine(self) -> bool:
        return True


def ledger(state: State, folder: LedgerFolder) -> Ledger:
    return Ledger(FolderToo(state, folder, OWNER), generation=0)


def is_free_to_start(found: Ledger) -> bool:
    decided = found.plan("conn", SPEC)
    return not (decided.unsure or decided.ask or decided.end)


def test_an_intent_that_the_folder_cannot_keep(tmp_path: Path) -> None:
    """Nothing was sent: the retry, with the folder back, starts its job and is not told of one that may be running."""
    (tmp_path / "prod").write_text("a file in the place of the folder")
    state, folder = State(), LedgerFolder(str(tmp_path), "prod")
    first = Ledger(FolderToo(state, LedgerFolder(str(tmp_path / "empty"), "prod"), OWNER), generation=0)
    first._store = FolderToo(state, folder, OWNER)  # it fails from here on
    with pytest.raises(LedgerError, match="cannot be written"):
        first.intend("conn", SPEC, "POST", leave=False)
    (tmp_path / "prod").unlink()
    assert is_free_to_start(ledger(state, folder))


def test_an_intent_that_airflow_cannot_keep(tmp_path: Path) -> None:
    state, folder = State(), LedgerFolder(str(tmp_path), "prod")
    first = ledger(state, folder)
    state.failures = 2
    with pytest.raises(ConnectionError):
        first.intend("conn", SPEC, "POST", leave=False)
    assert is_free_to_start(ledger(state, folder))
    assert [entry["closed"] for entry in folder.load(OWNER)] == [Closed.NOT_STARTED]


def test_an_id_that_one_store_cannot_keep_is_in_the_other(tmp_path: Path) -> None:
    state, folder = State(), LedgerFolder(str(tmp_path), "prod")
    first = ledger(state, folder)
    entry = first.intend("conn", SPEC, "POST", leave=False)
    state.failures = 1
    with pytest.raises(ConnectionError):
        first.started(entry, JOB)
    found = ledger(state, folder).plan("conn", SPEC).ask
    assert found is not None
    assert found.job == JOB
