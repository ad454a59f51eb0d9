"""What the services' lists are read as: pages, clocks, odd answers, and servers that have no list."""

from __future__ import annotations

import email.utils
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_jobs.exceptions import AuthenticationError, RemoteJobsError, ServiceError, TransportError
from airflow_provider_jobs.jobs.finding import Listing
from airflow_provider_jobs.jobs.model import JobSpec, JobState
from airflow_provider_jobs.services.base import Reply, Request
from airflow_provider_jobs.services.datafiniti import DatafinitiService
from airflow_provider_jobs.services.firecrawl import FirecrawlService
from airflow_provider_jobs.services.firecrawl.listing import MOST_PAGES, kind_of
from airflow_provider_jobs.services.listing import epoch
from tests.services.driving import Talk, answer, page

FIRECRAWL, DATAFINITI = FirecrawlService(), DatafinitiService()
NOW = 1_800_000_000.0
MISSING = page(404, "Cannot GET /v2/team/activity")
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def stamped(body: Any, *, ahead: float = 0.0, status: int = 200) -> Reply:
    """An answer of a server whose clock is ahead of ours."""
    return answer(status, body, headers={"date": email.utils.formatdate(NOW + ahead, usegmt=True)})


def read(service: Any, kind: str | None, replies: Any, *, since: float = NOW - 60, version: str = "v1") -> Talk:
    talk = Talk(service.list_jobs(kind, version, since=since, clock=lambda: NOW), replies)
    talk.run()
    return talk


def row(number: int, ago: float, **changes: Any) -> dict[str, Any]:
    """A line of the activity."""
    return {
        "id": f"id-{number}", "endpoint": "batch_scrape", "api_version": "v1", "created_at": NOW - ago,
        "target": "https://a.test/", **changes,
    }  # fmt: skip


def activity(*rows: Any, cursor: Any = None, more: Any = None) -> dict[str, Any]:
    return {
        "success": True,
        "data": list(rows),
        "cursor": cursor,
        "has_more": cursor is not None if more is None else more,
    }


def ids(listing: Listing) -> list[str]:
    return [job.ref.job_id for job in listing.jobs]


# --- marks ------------------------------------------------------------------------------------------------------------


def spec(kind: str, **body: Any) -> JobSpec:
    return JobSpec("firecrawl", kind, body, "v2")


@pytest.mark.parametrize(
    ("given_spec", "mark"),
    [
        (spec("batch_scrape", urls=["https://a.test/x", "https://b.test/"]), "https://a.test/x"),
        (spec("batch_scrape", urls=["https://a.test/x"], appendToId="id"), None),
        (spec("batch_scrape", urls=[]), None),
        (spec("crawl", url="a.test"), "http://a.test/"),
        (spec("scrape", url="HTTPS://A.test:8443"), "https://a.test:8443/"),
        (spec("map", url=" https://me:Secret@A.test/Path?q=1#part "), "https://me:Secret@a.test/Path?q=1#part"),
        (spec("search", query="hotels in Texas"), "hotels in Texas"),
        (spec("agent", prompt="Find the  shop", urls=["https://a.test/"]), "https://a.test/"),
        (spec("agent", prompt="Find the  shop"), "Find the  shop"),
        (spec("extract", prompt="The title", urls=[]), "The title"),
        (spec("crawl", url="http://[bad"), "http://[bad"),
        (spec("crawl"), None),
    ],
)
def test_marks_of_firecrawl(given_spec: JobSpec, mark: str | None) -> None:
    assert FIRECRAWL.mark(given_spec) == mark


def test_a_mark_is_what_the_list_shows() -> None:
    """Whoever completes the address, the two must be the same."""
    for given_url, shown in [("a.test", "http://a.test"), ("https://A.test", "https://a.test/"), ("x", "x")]:
        talk = read(FIRECRAWL, "batch_scrape", [stamped(activity(row(1, 5, target=shown)))])
        (job,) = talk.outcome.jobs
        assert FIRECRAWL.mark(spec("batch_scrape", urls=[given_url])) == job.mark


def download(query: Any = "country:US", num_records: Any = 3, target: Any = "businesses") -> JobSpec:
    body = {"query": query, "download": True} | ({} if num_records is None else {"num_records": num_records})
    return JobSpec("datafiniti", "download", body, "v4", target)


def test_marks_of_datafiniti() -> None:
    """Paths are plural, answers singular; all records have no number, and the service may fill one in."""
    shown = {"query": "country:US", "num_records": 3, "data_type": "business", "id": "7", "status": "queued"}
    (job,) = read(DATAFINITI, "download", [stamped([shown])]).outcome.jobs
    assert DATAFINITI.mark(download()) == job.mark is not None
    for other in (download(query="country:CA"), download(num_records=4), download(target="products")):
        assert DATAFINITI.mark(other) != job.mark
    assert DATAFINITI.mark(download(num_records=None)) is None
    for name in ("people", "properties", "products"):
        assert DATAFINITI.mark(download(target=name)) is not None


@pytest.mark.parametrize("word", ["batch_scrape", "batch-scrape", "batchScrape", " Batch Scrape ", "BATCH_SCRAPE"])
def test_spellings_of_a_kind(word: str) -> None:
    assert kind_of(word) == "batch_scrape"
    assert kind_of("deepResearch") == "deep_research"
    assert [kind_of(odd) for odd in (None, 3, "", ["crawl"])] == [None] * 4


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-22T13:38:24.420Z", 1795354704.42),
        ("2026-11-22T14:38:24.420+01:00", 1795354704.42),
        ("2026-11-22 13:38:24.420", 1795354704.42),
        ("2026-11-22 13:38:24", 1795354704.0),
        ("2017-08-24 18:54:07.0", 1503600847.0),
        ("2026-11-22T13:38:24.123456789Z", 1795354704.123456),
        (1795354704.5, 1795354704.5),
        (1795354704500, 1795354704.5),
        ("yesterday", None), ("", None), (None, None), (True, None), (0, None), (-5, None), (float("nan"), None),
        ("9999-99-99", None), ([], None),
    ],
)  # fmt: skip
def test_times_in_every_form_that_was_seen(text: Any, seconds: float | None) -> None:
    assert epoch(text) == seconds


# --- the lists of Firecrawl -------------------------------------------------------------------------------------------


def test_a_crawl_stands_in_two_lists() -> None:
    """Each tells what the other leaves out."""
    active = {"success": True, "crawls": [{"id": "c", "url": "https://a.test", "created_at": "2027-01-15T07:59:00Z"}]}
    lines = activity(row(1, 60, id="c", endpoint="crawl"), row(2, 30, id="d", endpoint="crawl"))
    talk = read(FIRECRAWL, "crawl", [stamped(active), stamped(lines)])
    assert talk.sent == ["GET /v1/crawl/active", "GET /v2/team/activity"]
    assert talk.requests[1].query == {"limit": "100", "endpoint": "crawl"}
    crawl, other = talk.outcome.jobs
    assert (crawl.ref.kind, crawl.ref.api_version, crawl.status.state) == ("crawl", "v1", JobState.RUNNING)
    assert other.status is None
    assert talk.outcome.sources == ("GET /v1/crawl/active", "GET /v2/team/activity")


def test_a_server_of_2025() -> None:
    active = stamped({"success": True, "crawls": []})
    assert read(FIRECRAWL, "crawl", [active, MISSING]).outcome.sources == ("GET /v1/crawl/active",)
    listing = read(FIRECRAWL, "batch_scrape", [MISSING]).outcome
    assert (listing.sources, listing.gaps) == ((), ("this server has no GET /v2/team/activity",))
    listing = read(FIRECRAWL, "agent", [MISSING, MISSING]).outcome
    assert listing.gaps == ("this server has no GET /v2/agent", "this server has no GET /v2/team/activity")


@pytest.mark.parametrize(
    "reply", [MISSING, answer(404, {"error": "Not found"}), answer(405), answer(501, {"error": "x"})]
)
def test_a_server_without_the_list_is_no_error(reply: Reply) -> None:
    """501 is what a server without its database answers."""
    assert read(FIRECRAWL, "batch_scrape", [reply]).outcome.sources == ()


@pytest.mark.parametrize(
    "reply", [answer(500, {"error": "no"}), answer(403, {}), answer(200, "OK"), answer(200, {"data": None})]
)
def test_a_list_that_fails_alone_is_an_error(reply: Reply) -> None:
    with pytest.raises(RemoteJobsError):
        read(FIRECRAWL, "batch_scrape", [reply])
    active = stamped({"success": True, "crawls": []})
    listing = read(FIRECRAWL, "crawl", [active, reply]).outcome
    assert listing.sources == ("GET /v1/crawl/active",)
    assert len(listing.gaps) == 1


@pytest.mark.parametrize("error", [AuthenticationError("no", status=401), TransportError("away", sent=True)])
def test_a_service_that_cannot_be_asked_is_an_error(error: Exception) -> None:
    active = stamped({"success": True, "crawls": []})
    with pytest.raises(type(error)):
        read(FIRECRAWL, "crawl", [active, error])
    with pytest.raises(AuthenticationError):
        read(FIRECRAWL, "crawl", [active, answer(401, {"error": "Unauthorized"})])


def test_an_error_of_the_transport_at_one_list() -> None:
    """The transport raises what is a fault of the moment; 501 is none, and comes that way too."""
    active = stamped({"success": True, "crawls": []})
    listing = read(FIRECRAWL, "crawl", [active, ServiceError("only with a database", status=501)]).outcome
    assert listing.gaps == ("this server has no GET /v2/team/activity",)


def pages_of(*pages: dict[str, Any]) -> Callable[[Request], Reply]:
    left = iter(pages)
    return lambda request: stamped(next(left))


def test_pages_are_read_until_they_are_older_than_what_is_wanted() -> None:
    first = activity(row(1, 5), row(2, 20), cursor="two")
    second = activity(row(3, 30), row(4, 70), cursor="three")
    talk = read(FIRECRAWL, "batch_scrape", pages_of(first, second))
    assert [request.query.get("cursor") for request in talk.requests] == [None, "two"]
    assert ids(talk.outcome) == ["id-1", "id-2", "id-3", "id-4"]
    assert not talk.outcome.is_cut


def test_pages_that_are_not_in_order_tell_nothing_of_the_next() -> None:
    first = activity(row(1, 500), row(2, 5), row(3, 400), cursor="two")
    talk = read(FIRECRAWL, "batch_scrape", pages_of(first, activity(row(4, 10))))
    assert ids(talk.outcome) == ["id-1", "id-2", "id-3", "id-4"]


@pytest.mark.parametrize("ahead", [-7200.0, 7200.0])
def test_the_end_of_the_pages_is_told_by_the_servers_clock(ahead: float) -> None:
    def line(number: int, ago: float) -> dict[str, Any]:
        return row(number, ago - ahead)

    replies = [
        stamped(activity(line(1, 5), line(2, 20), cursor="two"), ahead=ahead),
        stamped(activity(line(3, 30), line(4, 70), cursor="three"), ahead=ahead),
    ]
    listing = read(FIRECRAWL, "batch_scrape", replies).outcome
    assert ids(listing) == ["id-1", "id-2", "id-3", "id-4"]
    assert listing.offset == pytest.approx(ahead, abs=1.1)
    assert listing.begun(listing.jobs[0]) == pytest.approx(NOW - 5, abs=1.1)


def test_a_server_without_a_clock_is_read_to_the_end() -> None:
    """How old a line is cannot be told."""
    first = answer(200, activity(row(1, 5), row(2, 7000), cursor="two"))
    talk = read(FIRECRAWL, "batch_scrape", [first, answer(200, activity(row(3, 8000)))])
    assert ids(talk.outcome) == ["id-1", "id-2", "id-3"]
    assert not talk.outcome.is_cut


CUT: list[Any] = [
    [activity(row(1, 5), cursor="same"), activity(row(2, 6), cursor="same"), activity(row(3, 7), cursor="same")],
    [activity(row(1, 5), cursor="a"), activity(row(1, 5), cursor="b"), activity(row(1, 5), cursor="c")],
    [activity(row(1, 5), more=True)],
    [activity(row(1, 5), cursor=["odd"], more=True)],
    [activity(row(1, 5), cursor="", more=True)],
]


@pytest.mark.parametrize("pages", CUT)
def test_pages_that_lead_nowhere_cut_the_list(pages: list[dict[str, Any]]) -> None:
    assert read(FIRECRAWL, "batch_scrape", pages_of(*pages)).outcome.is_cut


def test_a_page_that_fails_cuts_the_list() -> None:
    listing = read(FIRECRAWL, "batch_scrape", [stamped(activity(row(1, 5), cursor="two")), answer(500, {})]).outcome
    assert listing.is_cut
    assert ids(listing) == ["id-1"]


def test_a_list_without_end_is_given_up() -> None:
    numbers = itertools.count()

    def more(request: Request) -> Reply:
        number = next(numbers)
        return stamped(activity(row(number, 5), cursor=f"at-{number}"))

    talk = read(FIRECRAWL, "batch_scrape", more)
    assert len(talk.requests) == MOST_PAGES
    assert talk.outcome.is_cut


def test_a_day_is_all_that_the_activity_covers() -> None:
    assert read(FIRECRAWL, "batch_scrape", [stamped(activity())], since=NOW - 25 * 3600).outcome.is_cut
    assert not read(FIRECRAWL, "batch_scrape", [stamped(activity())], since=NOW - 23 * 3600).outcome.is_cut


def agents(first: int, number: int, following: Any = None) -> dict[str, Any]:
    runs = [
        {"id": f"run-{n}", "createdAt": NOW - n, "targetHint": "Find it all", "status": "processing"}
        for n in range(first, first + number)
    ]
    return {"success": True, "agents": runs, **({"next": following} if following is not None else {})}


def test_agent_runs_are_read_by_the_cursor_and_never_by_the_address() -> None:
    following = "https://elsewhere.test/v2/agent?before=1799999980000"
    talk = read(FIRECRAWL, "agent", [stamped(agents(1, 20, following)), stamped(agents(21, 3)), MISSING])
    assert talk.sent == ["GET /v2/agent", "GET /v2/agent", "GET /v2/team/activity"]
    assert talk.requests[1].query == {"before": "1799999980000"}
    assert len(talk.outcome.jobs) == 23
    (first, *_) = talk.outcome.jobs
    assert (first.mark, first.ref.api_version, first.status.state) == ("Find it all", "v2", JobState.RUNNING)


@pytest.mark.parametrize("following", ["no address", "http://[", 7, {"a": 1}, "https://x.test/?after=3"])
def test_an_odd_next_ends_the_agent_runs(following: Any) -> None:
    talk = read(FIRECRAWL, "agent", [stamped(agents(1, 20, following)), MISSING])
    assert len(talk.outcome.jobs) == 20


def test_agents_that_show_only_their_options() -> None:
    run = {"id": "r", "createdAt": NOW, "options": {"urls": ["https://a.test"], "prompt": "Find it"}, "status": "odd"}
    (job,) = read(FIRECRAWL, "agent", [stamped({"agents": [run]}), MISSING]).outcome.jobs
    assert job.mark == "https://a.test/"
    assert job.status.state is JobState.UNKNOWN


def test_everything_at_once() -> None:
    crawls = {"crawls": [{"id": "c", "url": "https://a.test", "created_at": NOW}]}
    lines = activity(row(1, 5), row(2, 6, endpoint="scrape"))
    talk = read(FIRECRAWL, None, [stamped(crawls), stamped(agents(1, 1)), stamped(lines)])
    assert "endpoint" not in talk.requests[-1].query
    assert [job.ref.kind for job in talk.outcome.jobs] == ["crawl", "agent", "batch_scrape", "scrape"]


# --- Datafiniti's list ------------------------------------------------------------------------------------------------

W2 = {"id": "847070", "_id": 710516, "status": "running", "query": "country:US", "num_records": 3, "num_downloaded": 1,
      "data_type": "business", "date_started": "2027-01-15T07:59:50.163Z"}  # fmt: skip
W1 = {"id": 7, "status": "running", "query": "country:US", "num_records": 3, "data_type": "business",
      "date_started": "2027-01-15 07:59:50.0"}  # fmt: skip
W3 = {"id": "x", "status": "in_progress", "num_records": 3, "results": [], "created_at": "2027-01-15T07:59:50Z"}


@pytest.mark.parametrize(
    ("body", "job_id", "has_mark"),
    [({"num_found": 1, "records": [W1]}, "7", True), ({"records": [W2]}, "847070", True), ([W3], "x", False)],
)
def test_the_three_generations(body: Any, job_id: str, has_mark: bool) -> None:
    talk = read(DATAFINITI, "download", [stamped(body)])
    assert talk.sent == ["GET /v4/downloads"]
    (job,) = talk.outcome.jobs
    assert job.ref.job_id == job_id
    assert (job.mark is not None) is has_mark
    assert job.started_at == pytest.approx(1_799_999_990, abs=1)
    assert job.status.state is JobState.RUNNING


def test_old_downloads_are_left_out() -> None:
    """The list holds all that was ever started; what has no time may be new, and what runs is of interest."""
    done = {**W2, "id": "1", "date_started": "2025-01-01T00:00:00Z", "status": "completed"}
    runs = {**W2, "id": "2", "date_started": "2025-01-01T00:00:00Z"}
    untimed = {**W2, "id": "3", "date_started": None, "status": "completed"}
    listing = read(DATAFINITI, "download", [stamped({"records": [W2, done, runs, untimed]})]).outcome
    assert ids(listing) == ["847070", "2", "3"]


@pytest.mark.parametrize(
    "reply", [answer(200, {"num_found": 3}), answer(200, "OK"), answer(500, {}), page(200, "Login")]
)
def test_a_list_of_downloads_that_is_none(reply: Reply) -> None:
    with pytest.raises(RemoteJobsError):
        read(DATAFINITI, "download", [reply])


def test_datafiniti_without_a_list() -> None:
    assert read(DATAFINITI, "download", [MISSING]).outcome.gaps == ("this server has no GET /v4/downloads",)


# --- anything at all --------------------------------------------------------------------------------------------------


def odd_rows(*keys: str) -> st.SearchStrategy[Any]:
    known = st.fixed_dictionaries({}, optional=dict.fromkeys(keys, JUNK | st.just("https://a.test/")))
    return st.lists(known | JUNK, max_size=5)


@given(
    odd_rows("id", "url", "created_at"),
    odd_rows("id", "createdAt", "targetHint", "options", "status"),
    odd_rows("id", "endpoint", "api_version", "created_at", "target"),
    JUNK, JUNK, JUNK, st.text(max_size=30),
)  # fmt: skip
def test_answers_of_any_shape(
    crawls: Any, runs: Any, lines: Any, following: Any, cursor: Any, more: Any, date: str
) -> None:
    bodies = {
        "/v1/crawl/active": {"crawls": crawls},
        "/v2/agent": {"agents": runs, "next": following},
        "/v2/team/activity": {"data": lines, "cursor": cursor, "has_more": more},
    }

    def reply(request: Request) -> Reply:
        return answer(200, bodies[request.path], headers={"date": date})

    for job in read(FIRECRAWL, None, reply).outcome.jobs:
        assert job.ref.job_id
        assert job.mark is None or isinstance(job.mark, str)
        assert job.started_at is None or isinstance(job.started_at, float)


@given(odd_rows("id", "_id", "query", "num_records", "data_type", "date_started", "status", "results"), st.booleans())
def test_downloads_of_any_shape(rows: Any, is_bare: bool) -> None:
    for job in read(DATAFINITI, "download", [answer(200, rows if is_bare else {"records": rows})]).outcome.jobs:
        assert job.ref.job_id
        assert job.started_at is None or isinstance(job.started_at, float)
