"""The record of starts in a folder: what is written stays, whoever reads it, on any storage."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow.sdk.io import attach
from airflow.sdk.io.store import _STORE_CACHE
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_jobs.compat import Owner
from airflow_provider_jobs.exceptions import LedgerError, LedgerSettingsError
from airflow_provider_jobs.jobs.history import Closed, Entry
from airflow_provider_jobs.jobs.model import JobRef, StartedJob
from airflow_provider_jobs.ledger import merged
from airflow_provider_jobs.ledger_folder import LedgerFolder

OWNER = Owner("dag", "manual__2026-11-23T10:00:00.1+00:00", "group.task", 7)
INTENT = Entry(1, 0, "print", "firecrawl_default", "firecrawl", "batch_scrape", "POST /v1/batch/scrape", 1000.0)
JOB = StartedJob(JobRef("firecrawl", "batch_scrape", "id-1", "v1"), 1000.0, 3)
STARTED = dataclasses.replace(INTENT, job=JOB)
DELIVERED = dataclasses.replace(STARTED, closed=Closed.DELIVERED)


@pytest.fixture(scope="module", autouse=True)
def object_store() -> Iterator[None]:
    """fsspec's storage in memory stands for an object store; Airflow knows the storages of providers only."""
    store = attach("memory", fs=MemoryFileSystem())
    yield
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    for alias in [alias for alias, kept in _STORE_CACHE.items() if kept is store]:
        del _STORE_CACHE[alias]


@pytest.fixture(params=["local", "memory"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder that does not exist yet, on the disk and on an object store."""
    return f"file://{tmp_path}/led ger" if request.param == "local" else f"memory://ledger-{uuid.uuid4().hex}/of jobs"


def entries(folder: LedgerFolder, owner: Owner = OWNER) -> list[Entry]:
    return [Entry.from_dict(entry) for entry in folder.load(owner)]


def test_each_event_is_kept_and_the_last_one_counts(path: str) -> None:
    folder = LedgerFolder(path, "prod")
    assert folder.load(OWNER) == []
    assert list(folder.owners()) == []
    second = dataclasses.replace(INTENT, seq=2)
    for entry, expected in (
        (INTENT, [INTENT]),
        (STARTED, [STARTED]),
        (second, [STARTED, second]),
        (DELIVERED, [DELIVERED, second]),
    ):
        folder.save(OWNER, entry.to_dict())
        assert entries(LedgerFolder(path, "prod")) == expected
    (found,) = folder.owners()
    assert found == (OWNER, folder.load(OWNER))


def test_nothing_is_ever_rewritten(tmp_path: Path) -> None:
    """An object store may show an old version of what was overwritten, and two writers would meet."""
    folder = LedgerFolder(str(tmp_path), "prod")
    seen: dict[Path, bytes] = {}
    for entry in (INTENT, STARTED, DELIVERED):
        folder.save(OWNER, entry.to_dict())
        now = {place: place.read_bytes() for place in tmp_path.rglob("*") if place.is_file()}
        assert {place: now[place] for place in seen} == seen
        assert len(now) == len(seen) + 1
        seen = now
    assert [place.name for place in sorted(seen)] == [
        "000001.1-intent.json", "000001.2-started.json", "000001.4-delivered.json",
    ]  # fmt: skip


def test_two_who_close_the_same_start(path: str) -> None:
    """A clean-up and the task itself may meet: closed is closed."""
    one, other = LedgerFolder(path, "prod"), LedgerFolder(path, "prod")
    one.save(OWNER, STARTED.to_dict())
    one.save(OWNER, dataclasses.replace(STARTED, closed=Closed.CANCELLED).to_dict())
    other.save(OWNER, DELIVERED.to_dict())
    other.save(OWNER, STARTED.to_dict())
    (entry,) = entries(one)
    assert entry.closed is not None


def test_what_was_given_away_can_be_over_later(path: str) -> None:
    """`remote-jobs cancel` ends jobs that were handed over or left; their entries are closed already."""
    folder = LedgerFolder(path, "prod")
    for first in (Closed.HANDED_OVER, Closed.LEFT):
        ends = [dataclasses.replace(STARTED, closed=why) for why in (first, Closed.CANCELLED, first)]
        for entry in ends:
            folder.save(OWNER, entry.to_dict())
        assert entries(folder) == [ends[1]]
        assert merged([ends[0].to_dict()], [ends[1].to_dict()]) == [ends[1].to_dict()]


def test_deployments_do_not_see_each_other(path: str) -> None:
    prod, test = LedgerFolder(path, "prod"), LedgerFolder(path, "prod.test")
    prod.save(OWNER, STARTED.to_dict())
    assert test.load(OWNER) == []
    assert list(test.owners()) == []
    test.save(OWNER, INTENT.to_dict())
    assert entries(prod) == [STARTED]
    assert entries(test) == [INTENT]


NAMES = st.text(min_size=1, max_size=300).filter(lambda text: "\x00" not in text and text.isprintable())
OWNERS = st.builds(Owner, NAMES, NAMES, NAMES, st.integers(-1, 5000))


@given(st.lists(OWNERS, min_size=1, max_size=4, unique=True))
def test_owners_of_any_name_keep_apart(owners: list[Owner]) -> None:
    folder = LedgerFolder(f"memory://names-{uuid.uuid4().hex}", "prod")
    for number, owner in enumerate(owners, 1):
        folder.save(owner, dataclasses.replace(STARTED, seq=number).to_dict())
    for number, owner in enumerate(owners, 1):
        assert [entry.seq for entry in entries(folder, owner)] == [number]
        assert owner in dict(folder.owners(dag_id=owner.dag_id))
    assert {owner for owner, _ in folder.owners()} == set(owners)


def test_long_names_fit_on_a_disk(tmp_path: Path) -> None:
    folder = LedgerFolder(str(tmp_path), "prod")
    long = [Owner("d" * 250, "ü" * 250, "t" * 249 + end, -1) for end in "ab"]
    for owner in long:
        folder.save(owner, STARTED.to_dict())
    assert [owner for owner, _ in folder.owners()] == long


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"owner": {}, "entry": {}}', b'{"owner": 1, "entry": 2}'])
def test_what_is_not_ours_is_an_error_and_not_an_empty_record(tmp_path: Path, content: bytes) -> None:
    folder = LedgerFolder(str(tmp_path), "prod")
    folder.save(OWNER, STARTED.to_dict())
    (place,) = tmp_path.rglob("*.json")
    place.write_bytes(content)
    with pytest.raises(LedgerError, match="is no record of ours"):
        folder.load(OWNER)
    with pytest.raises(LedgerError, match="is no record of ours"):
        list(folder.owners())


def test_a_folder_that_cannot_be_read_is_an_error_and_not_an_empty_record(tmp_path: Path) -> None:
    folder = LedgerFolder(str(tmp_path / "ledger"), "prod")
    folder.save(OWNER, STARTED.to_dict())
    (place,) = tmp_path.rglob("000001.2-started.json")
    place.unlink()
    place.parent.rmdir()
    place.parent.write_text("a file in the place of a folder")
    with pytest.raises(LedgerError, match="cannot be read"):
        folder.load(OWNER)


def test_files_that_were_broken_off_do_not_count(tmp_path: Path) -> None:
    folder = LedgerFolder(str(tmp_path), "prod")
    folder.save(OWNER, STARTED.to_dict())
    (place,) = tmp_path.rglob("*.json")
    (place.parent / ".0123.tmp").write_bytes(b"{")
    (place.parent / "notes.txt").write_bytes(b"hello")
    assert entries(folder) == [STARTED]


def test_where_nothing_can_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_text("a file")
    with pytest.raises(LedgerError, match="cannot be written"):
        LedgerFolder(str(tmp_path / "ledger"), "prod").save(OWNER, INTENT.to_dict())


@pytest.mark.parametrize("deployment", ["", " ", "a/b", "..", ".hidden", "a b", "x" * 101])
def test_a_deployment_needs_a_name(tmp_path: Path, deployment: str) -> None:
    with pytest.raises(LedgerSettingsError, match="deployment"):
        LedgerFolder(str(tmp_path), deployment)


def test_a_storage_that_is_not_installed(tmp_path: Path) -> None:
    with pytest.raises(LedgerSettingsError, match="cannot be used"):
        LedgerFolder("nosuch://bucket/x", "prod")


def test_what_airflow_configures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert LedgerFolder.configured() is None
    monkeypatch.setenv("AIRFLOW__AIRFLOW_PROVIDER_JOBS__LEDGER_PATH", str(tmp_path))
    with pytest.raises(LedgerSettingsError, match="deployment"):
        LedgerFolder.configured()
    monkeypatch.setenv("AIRFLOW__AIRFLOW_PROVIDER_JOBS__DEPLOYMENT", "prod")
    folder = LedgerFolder.configured()
    assert folder is not None
    folder.save(OWNER, INTENT.to_dict())
    assert (tmp_path / "prod" / "dag").is_dir()


STEPS = st.lists(st.sampled_from([INTENT, STARTED, DELIVERED]), max_size=3)


@given(STEPS, STEPS)
def test_two_copies_of_a_record_make_one(ours: list[Entry], theirs: list[Entry]) -> None:
    """The folder may have been configured later, the task state store emptied: nothing that either knows is lost."""
    copies = [[entry.to_dict() for entry in copy[-1:]] for copy in (ours, theirs)]
    known = [entry for copy in (ours, theirs) for entry in copy[-1:]]
    best = max(known, key=[INTENT, STARTED, DELIVERED].index, default=None)
    assert merged(*copies) == ([best.to_dict()] if best else [])


def test_what_is_closed_is_not_even_read(tmp_path: Path) -> None:
    """A clean-up runs every few minutes, and nearly all of the folder is of no interest to it."""
    folder = LedgerFolder(str(tmp_path), "prod")
    other = dataclasses.replace(OWNER, map_index=8)
    folder.save(OWNER, DELIVERED.to_dict())
    folder.save(other, DELIVERED.to_dict())
    folder.save(other, dataclasses.replace(INTENT, seq=2).to_dict())
    (place,) = tmp_path.rglob("7/*.json")
    place.write_bytes(b"unreadable")
    ((owner, found),) = folder.owners(open_only=True)
    assert owner == other
    assert [entry["seq"] for entry in found] == [1, 2]
