"""Which listed job is that of a lost start: one, or none. To take up another's job would be worse than none."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from airflow_provider_jobs.jobs.finding import (
    SLACK,
    ClockGap,
    Found,
    Listed,
    Listing,
    LostStart,
    NotFound,
    find,
    mark_hash,
)
from airflow_provider_jobs.jobs.history import Closed, Entry
from airflow_provider_jobs.jobs.model import JobRef, StartedJob

URL = "https://a.test/"
BEGIN, END = 10_000.0, 10_030.0
LOST = LostStart("firecrawl", "batch_scrape", "v1", mark_hash(URL), BEGIN, END)
WINDOW = st.floats(BEGIN - SLACK, END + SLACK)
OUTSIDE = st.floats(0, BEGIN - SLACK - 1) | st.floats(END + SLACK + 1, 1e9)


def listed(
    job_id: str = "id-1", at: float | None = BEGIN + 1, *, mark: str | None = URL, kind: str = "batch_scrape",
    version: str | None = "v1",
) -> Listed:  # fmt: skip
    return Listed(JobRef("firecrawl", kind, job_id, version), at, mark)


def listing(*jobs: Listed, **changes: Any) -> Listing:
    return dataclasses.replace(Listing(jobs, sources=("GET /list",)), **changes)


def entry(seq: int = 1, *, job_id: str | None = None, **changes: Any) -> Entry:
    job = StartedJob(JobRef("firecrawl", "batch_scrape", job_id, "v1"), BEGIN) if job_id else None
    made = Entry(
        seq, 0, "print", "conn", "firecrawl", "batch_scrape", "POST", BEGIN, job=job, api_version="v1",
        mark=mark_hash(URL), sent_at=BEGIN, lost_at=END,
    )  # fmt: skip
    return dataclasses.replace(made, **changes)


NO_MATCH = st.one_of(
    st.builds(listed, at=OUTSIDE),
    st.builds(listed, at=WINDOW, mark=st.sampled_from(["https://a.test/other", "https://b.test/", "", None])),
    st.builds(listed, at=WINDOW, kind=st.sampled_from(["crawl", "agent", "scrape"])),
    st.builds(listed, at=WINDOW, version=st.just("v2")),
    st.builds(listed, at=st.none(), mark=st.just("https://b.test/")),
)
"""Jobs that are none of ours, whatever else is listed."""


def numbered(jobs: list[Listed]) -> list[Listed]:
    """Give each job an id of its own."""
    return [dataclasses.replace(job, ref=dataclasses.replace(job.ref, job_id=f"x-{n}")) for n, job in enumerate(jobs)]


@given(WINDOW, st.lists(NO_MATCH, max_size=6), st.randoms())
def test_the_only_one_is_found_among_any_others(at: float, others: list[Listed], chance: random.Random) -> None:
    jobs = [listed("ours", at), *numbered(others)]
    chance.shuffle(jobs)
    assert find(LOST, listing(*jobs)) == Found(JobRef("firecrawl", "batch_scrape", "ours", "v1"))


@given(st.lists(NO_MATCH, max_size=6))
def test_nothing_is_found_where_nothing_fits(others: list[Listed]) -> None:
    assert isinstance(find(LOST, listing(*numbered(others))), NotFound)


@given(st.lists(WINDOW, min_size=2, max_size=5), st.lists(NO_MATCH, max_size=4))
def test_equal_starts_at_one_moment_are_not_told_apart(times: list[float], others: list[Listed]) -> None:
    """Mapped tasks with one address: whose is whose, nobody can say."""
    jobs = [listed(f"twin-{n}", at) for n, at in enumerate(times)]
    answer = find(LOST, listing(*jobs, *numbered(others)))
    assert answer == NotFound(f"{len(times)} such jobs were started at that moment", is_final=True)


@given(st.lists(WINDOW, min_size=1, max_size=5), st.data())
def test_a_twin_that_is_on_record_is_somebody_elses(times: list[float], data: st.DataObject) -> None:
    jobs = [listed(f"twin-{n}", at) for n, at in enumerate(times)]
    ids = [job.ref.job_id for job in jobs]
    known = data.draw(st.sets(st.sampled_from(ids)))
    in_record = data.draw(st.sets(st.sampled_from(sorted(known)))) if known else set()
    record = [entry(n, job_id=job_id, closed=data.draw(st.sampled_from([None, *Closed]))) for n, job_id in
              enumerate(sorted(in_record), 2)]  # fmt: skip
    answer = find(LOST, listing(*jobs), record=record, taken=known - in_record)
    free = [job_id for job_id in ids if job_id not in known]
    if len(free) == 1:
        assert isinstance(answer, Found)
        assert answer.ref.job_id == free[0]
    else:
        assert isinstance(answer, NotFound)


@given(st.lists(st.tuples(WINDOW | OUTSIDE | st.none(), st.sampled_from([URL, "https://b.test/", None])), max_size=6))
def test_found_means_one_and_only_one(jobs: list[tuple[float | None, str | None]]) -> None:
    """The rule, told in another way."""
    made = [listed(f"id-{n}", at, mark=mark) for n, (at, mark) in enumerate(jobs)]
    same = [job for job in made if job.mark == URL]
    fits = [job for job in same if job.started_at is not None and BEGIN - SLACK <= job.started_at <= END + SLACK]
    answer = find(LOST, listing(*made))
    assert isinstance(answer, Found) == (len(fits) == 1 and all(job.started_at is not None for job in same))


@given(WINDOW, st.floats(-1e6, 1e6))
def test_the_clock_of_the_service(at: float, offset: float) -> None:
    inner = min(max(at, BEGIN), END)  # away from the edges, where a rounding decides
    assert isinstance(find(LOST, listing(listed(at=inner + offset), offset=offset)), Found)
    assume(abs(offset) > END - BEGIN + 2 * SLACK + 1)
    assert isinstance(find(LOST, listing(listed(at=inner + offset))), NotFound)


@given(WINDOW)
def test_a_list_that_ends_too_early(at: float) -> None:
    """A second one may stand where the list was cut off."""
    assert isinstance(find(LOST, listing(listed(at=at), is_cut=True)), NotFound)


def test_a_list_without_times() -> None:
    one = listed("one")
    assert isinstance(find(LOST, listing(one, listed("two", None))), NotFound), "the other may be ours"
    assert find(LOST, listing(one, listed("two", None)), taken={"two"}) == Found(one.ref)


def test_a_list_without_marks() -> None:
    answer = find(LOST, listing(listed(mark=None)))
    assert answer == NotFound("the list does not show what a batch_scrape was asked for", is_final=True)


def test_what_no_list_can_tell() -> None:
    answer = find(dataclasses.replace(LOST, mark=None), listing(listed()))
    assert isinstance(answer, NotFound)
    assert "cannot be told from others" in answer.reason
    answer = find(LOST, Listing((), gaps=("this server has no GET /v2/team/activity",)))
    assert answer == NotFound("this server has no GET /v2/team/activity", is_final=True)


def test_a_job_that_stands_in_the_list_twice_is_one() -> None:
    assert isinstance(find(LOST, listing(listed(), listed())), Found)


def test_the_version_comes_from_the_start_where_the_list_tells_none() -> None:
    answer = find(LOST, listing(listed(version=None)))
    assert answer == Found(JobRef("firecrawl", "batch_scrape", "id-1", "v1"))


RIVALS = [
    entry(2),
    entry(2, closed=Closed.UNKNOWN),
    entry(2, mark=None),
    entry(2, sent_at=None, lost_at=None, intent_at=BEGIN - 50),
    entry(2, sent_at=END + SLACK, lost_at=END + 60),
]
NO_RIVALS = [
    entry(2, closed=Closed.NOT_STARTED),
    entry(2, mark=mark_hash("https://b.test/")),
    entry(2, kind="crawl"),
    entry(2, service="datafiniti"),
    entry(2, sent_at=END + 100, lost_at=END + 130),
    entry(2, sent_at=None, lost_at=None, intent_at=BEGIN - 200),
]


@pytest.mark.parametrize("other", RIVALS)
def test_another_lost_start_may_have_made_the_job(other: Entry) -> None:
    answer = find(LOST, listing(listed()), record=[other], longest=70)
    assert isinstance(answer, NotFound)
    assert "another start without an answer" in answer.reason


@pytest.mark.parametrize("other", NO_RIVALS)
def test_other_starts_that_cannot_have_made_it(other: Entry) -> None:
    assert isinstance(find(LOST, listing(listed()), record=[other], longest=70), Found)


def test_the_record_is_only_read_where_something_fits() -> None:
    """It can be a large folder."""

    def record() -> Any:
        raise AssertionError("the record was read")
        yield

    assert isinstance(find(LOST, listing(listed(mark="https://b.test/")), record=record()), NotFound)


# --- clocks and entries -----------------------------------------------------------------------------------------------


@given(st.floats(-1e5, 1e5), st.lists(st.tuples(st.floats(0, 100), st.floats(0, 20), st.floats(0, 1)), max_size=5))
def test_the_difference_of_two_clocks(ahead: float, answers: list[tuple[float, float, float]]) -> None:
    """Stamps in whole seconds, somewhere between request and answer: off by no more than one exchange takes."""
    gap = ClockGap()
    for before, lasts, share in answers:
        gap.saw(before, before + lasts, float(int((before + lasts * share + ahead) // 1)))
    if not answers:
        assert gap.offset == 0
        return
    shortest = min(lasts for _, lasts, _ in answers)
    assert abs(gap.offset - ahead) <= shortest + 1.001
    assert abs(gap.offset) <= abs(ahead) + 1e-6, "never more than what explains the stamps"


def test_a_clock_that_was_changed_in_between() -> None:
    gap = ClockGap()
    gap.saw(0, 1, 100.0)
    gap.saw(2, 3, None)
    gap.saw(4, 5, 504.0)
    assert 99 <= gap.offset <= 501


def test_the_moments_of_an_entry() -> None:
    lost = LostStart.of(entry(sent_at=None, lost_at=None), longest=70, asked=3)
    assert (lost.begin, lost.end, lost.asked, lost.mark) == (BEGIN, BEGIN + 70, 3, mark_hash(URL))
    lost = LostStart.of(entry(sent_at=BEGIN + 5, lost_at=END), longest=70)
    assert (lost.begin, lost.end) == (BEGIN + 5, END)


def test_entries_keep_no_mark_but_its_hash() -> None:
    secret = "https://a.test/?token=secret"
    written = entry(mark=mark_hash(secret)).to_dict()
    assert "secret" not in str(written)
    assert len(written["mark"]) == 64
    assert Entry.from_dict(written) == entry(mark=mark_hash(secret))
    assert mark_hash("half a character \ud800") is not None


@pytest.mark.parametrize("odd", [{"mark": {"v": 2}}, {"lost_at": "12:00"}, {"sent_at": []}, {"api_version": 2}])
def test_entries_of_other_versions(odd: dict[str, Any]) -> None:
    """An older one has none of the new keys, a newer one may write them in another form, or more of them."""
    written = entry().to_dict()
    old = {key: value for key, value in written.items() if key not in {"mark", "api_version", "sent_at", "lost_at"}}
    assert Entry.from_dict(old) == entry(mark=None, api_version=None, sent_at=None, lost_at=None)
    (name,) = odd
    assert Entry.from_dict({**written, **odd, "of_a_later_version": 1}) == entry(**{name: None})


def test_the_representation_of_a_listed_job_shows_no_mark() -> None:
    assert "secret" not in repr(listing(listed(mark="https://a.test/?token=secret")))
