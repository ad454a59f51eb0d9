"""Walking result pages: each server generation's pagination, simulated as the contract's section 7 describes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_jobs import exceptions as errors
from airflow_provider_jobs.jobs.model import JobRef
from airflow_provider_jobs.services.base import Purpose, Reply, Request
from airflow_provider_jobs.services.firecrawl import PageWalk
from tests.recorded import exchanges
from tests.services.driving import answer, page

PATH = "/v1/batch/scrape/x"
REF = JobRef("firecrawl", "batch_scrape", "x", "v1")
Server = Callable[[Request], Reply]


def document(number: int, size: int = 10) -> dict[str, Any]:
    return {
        "markdown": "m" * size,
        "metadata": {"scrapeId": f"scrape-{number}", "sourceURL": f"https://a.test/{number}"},
    }


def reply(docs: list[Any], following: int | None, *, completed: int, total: int, status: str = "completed") -> Reply:
    body: dict[str, Any] = {"success": True, "status": status, "completed": completed, "total": total}
    if following is not None:
        # Built from a header that others control; only its number may count.
        body["next"] = f"https://stranger.test:1{PATH}?skip={following}&limit=1"
    return answer(200, {**body, "data": docs})


def skip_of(request: Request) -> int:
    return int(request.query.get("skip", 0))


def server_a(docs: list[Any], *, page_bytes: int, total: int, status: str = "completed") -> Server:
    """Without database, Aug 2025: `skip` is ignored for the data; `next` while total > skip + documents here."""

    def serve(request: Request) -> Reply:
        here, size = [], 0
        for doc in docs:
            size += len(doc["markdown"])
            if here and size > page_bytes:
                break
            here.append(doc)
        skip = skip_of(request)
        following = skip + len(here) if total > skip + len(here) else None
        return reply(here, following, completed=len(docs), total=total, status=status)

    return serve


def server_b(docs: list[Any], *, per_page: int, total: int | None = None, status: str = "completed") -> Server:
    """With database, Aug 2025: pages work; None stands for a result that is missing, counted in the cursor."""
    whole = len(docs) if total is None else total

    def serve(request: Request) -> Reply:
        skip = skip_of(request)
        taken = docs[skip : skip + per_page]
        following = skip + len(taken) if whole > skip + len(taken) else None
        return reply([d for d in taken if d], following, completed=len(docs), total=whole, status=status)

    return serve


def server_c(docs: list[Any], *, per_page: int, running: bool = False) -> Server:
    """Without database, Aug 15: `next` when there are more documents, or while it runs, beyond the end for ever."""

    def serve(request: Request) -> Reply:
        skip = skip_of(request)
        taken = docs[skip : skip + per_page]
        more = running or skip + len(taken) < len(docs)
        status = "scraping" if running else "completed"
        return reply(taken, skip + len(taken) if more else None, completed=len(docs), total=len(docs), status=status)

    return serve


def server_2026(docs: list[Any], *, per_page: int, status: str = "completed", total: int | None = None) -> Server:
    """Current: `next` when there are more documents or the status is not completed; missing results are skipped."""

    def serve(request: Request) -> Reply:
        skip = skip_of(request)
        taken = docs[skip : skip + per_page]
        more = skip + len(taken) < len(docs) or status != "completed"
        following = skip + len(taken) if more else None
        whole = len(docs) if total is None else total
        return reply([d for d in taken if d], following, completed=len(docs), total=whole, status=status)

    return serve


def walk_all(server: Server, limit: int = 500) -> tuple[PageWalk, list[str], list[Request]]:
    """Walk to the end; return the walk, the scrape ids in order, and the requests."""
    walk, found, requests = PageWalk(REF, PATH), [], []
    while (request := walk.request()) is not None:
        requests.append(request)
        assert len(requests) <= limit, "the walk does not end"
        found += [msgspec.json.decode(raw)["metadata"]["scrapeId"] for raw in walk.read(request, server(request))]
    return walk, found, requests


def ids(*numbers: int) -> list[str]:
    return [f"scrape-{number}" for number in numbers]


# --- server A -----------------------------------------------------------------------------------------------------


def test_a_small_result_comes_in_one_answer() -> None:
    walk, found, requests = walk_all(server_a([document(n) for n in range(10)], page_bytes=10_000, total=10))
    assert (found, len(requests)) == (ids(*range(10)), 1)
    assert (walk.delivered, walk.completed, walk.repeated) == (10, 10, 0)


def test_a_repeats_its_first_document_and_the_loss_is_seen() -> None:
    """F3, F7: 5 documents of which every page is the first again; 1 arrives, 5 are completed."""
    walk, found, requests = walk_all(server_a([document(n, 100) for n in range(5)], page_bytes=100, total=5))
    assert found == ids(0)
    assert (walk.delivered, walk.completed) == (1, 5)
    assert walk.repeated == len(requests) - 1 >= 1


def test_a_of_a_thousand_pages_is_not_asked_a_thousand_times() -> None:
    """F3: what brings nothing new is not paid for with a request per document."""
    _walk, found, requests = walk_all(server_a([document(n, 100) for n in range(1000)], page_bytes=100, total=1000))
    assert found == ids(0)
    assert len(requests) < 20


def test_a_whose_results_were_dropped() -> None:
    """F33, F7: completed 10 of 10 and no document, one hour later."""
    walk, found, requests = walk_all(lambda request: reply([], None, completed=10, total=10))
    assert (found, len(requests), walk.delivered, walk.completed) == ([], 1, 0, 10)


def test_a_cancelled_whose_total_is_never_reached() -> None:
    """F2: `next` while total > completed, for ever when no worker drains it."""
    docs = [document(n) for n in range(4)]
    walk, found, _ = walk_all(server_a(docs, page_bytes=10_000, total=1000, status="cancelled"))
    assert found == ids(0, 1, 2, 3)
    assert walk.completed == 4


def test_a_cancelled_before_its_first_page() -> None:
    """F1, F2: `?skip=0`, the same request, with no document."""
    walk, found, requests = walk_all(server_a([], page_bytes=10, total=6, status="cancelled"))
    assert (found, len(requests), walk.completed) == ([], 1, 0)


# --- server B -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "pages"), [(0, 1), (1, 1), (100, 1), (101, 2), (200, 2), (250, 3)])
def test_b_delivers_all(number: int, pages: int) -> None:
    walk, found, requests = walk_all(server_b([document(n) for n in range(number)], per_page=100))
    assert found == ids(*range(number))
    assert (len(requests), walk.delivered, walk.repeated) == (pages, number, 0)


def test_b_cancelled_with_a_next_that_stands_still() -> None:
    """F2."""
    _walk, found, requests = walk_all(
        server_b([document(n) for n in range(4)], per_page=100, total=12, status="cancelled")
    )
    assert found == ids(0, 1, 2, 3)
    assert len(requests) == 2


@pytest.mark.parametrize("server", [server_b, server_2026])
@pytest.mark.parametrize("gap", [100, 300, 1000, 2500])
def test_missing_results_do_not_end_a_walk_whose_cursor_moves(server: Any, gap: int) -> None:
    """F7: a page may be empty because its results are missing; what follows is still to be had."""
    docs: list[Any] = [document(n) for n in range(100)] + [None] * gap + [document(n) for n in range(100, 150)]
    walk, found, _ = walk_all(server(docs, per_page=100))
    assert found == ids(*range(150))
    assert walk.completed == 150 + gap


# --- server C -----------------------------------------------------------------------------------------------------


def test_c_delivers_all() -> None:
    walk, found, requests = walk_all(server_c([document(n) for n in range(10)], per_page=3))
    assert (found, len(requests), walk.repeated) == (ids(*range(10)), 4, 0)


def test_c_running_ends_at_the_end() -> None:
    """F2: beyond the end `next` names the request itself, for ever."""
    _walk, found, requests = walk_all(server_c([document(n) for n in range(10)], per_page=3, running=True))
    assert (found, len(requests)) == (ids(*range(10)), 5)


def test_c_delivers_one_document_twice_after_a_loss() -> None:
    """F8: 3 documents and then the last of them again; each arrives once, and one of 4 is missing."""
    pages = {0: reply([document(0), document(1), document(3)], 3, completed=4, total=4),
             3: reply([document(3)], None, completed=4, total=4)}  # fmt: skip
    walk, found, _ = walk_all(lambda request: pages[skip_of(request)])
    assert found == ids(0, 1, 3)
    assert (walk.delivered, walk.repeated, walk.completed) == (3, 1, 4)


# --- current ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["completed", "cancelled", "failed"])
@pytest.mark.parametrize("number", [0, 1, 99, 100, 101, 350])
def test_current_delivers_all_and_ends(status: str, number: int) -> None:
    """F2: `next` is present for ever on a cancelled or failed job."""
    walk, found, _ = walk_all(server_2026([document(n) for n in range(number)], per_page=100, status=status))
    assert found == ids(*range(number))
    assert walk.repeated == 0


# --- whatever the server ------------------------------------------------------------------------------------------


@given(
    sizes=st.lists(st.integers(min_value=0, max_value=7), max_size=15),
    never_ends=st.booleans(),
    overlap=st.integers(min_value=0, max_value=2),
)
def test_every_document_arrives_once_however_the_pages_are_cut(
    sizes: list[int], never_ends: bool, overlap: int
) -> None:
    """F8: the same document twice, F2: a next beyond the end, empty pages between full ones."""
    docs = [document(n) for n in range(sum(sizes))]
    starts = [sum(sizes[:n]) for n in range(len(sizes))]
    # An empty page still moves the cursor: its results are missing, but counted.
    places = {start + number: (start, size) for number, (start, size) in enumerate(zip(starts, sizes, strict=True))}
    cursors = sorted(places)
    slots = sum(sizes) + len(sizes)

    def serve(request: Request) -> Reply:
        skip = skip_of(request)
        if skip not in places:
            return reply([], skip if never_ends else None, completed=slots, total=slots)
        start, size = places[skip]
        later = [cursor for cursor in cursors if cursor > skip]
        following = later[0] if later else (skip + size + 1 if never_ends else None)
        first = max(0, start - overlap) if size else start
        return reply(docs[first : start + size], following, completed=slots, total=slots)

    walk, found, _ = walk_all(serve)
    assert found == [doc["metadata"]["scrapeId"] for doc in docs]
    assert walk.delivered == len(docs)


@given(st.data())
def test_every_walk_ends(data: st.DataObject) -> None:
    """F2, F3: a server that says anything at all is left in the end."""
    anything = st.integers(min_value=-5, max_value=10**12)

    def serve(request: Request) -> Reply:
        number = data.draw(st.integers(min_value=0, max_value=3))
        following = data.draw(st.none() | anything)
        return reply([document(n) for n in range(number)], following, completed=5, total=5)

    walk_all(serve)


@pytest.mark.parametrize("completed", [None, 3, 10**9])
def test_a_cursor_that_runs_away_over_empty_pages_is_left(completed: Any) -> None:
    """F2: a server that moves its cursor for ever and delivers nothing."""
    walk_all(lambda request: reply([], skip_of(request) + 1, completed=completed, total=completed), limit=2000)


def test_a_cursor_that_runs_away_over_repeats_is_left_soon() -> None:
    """F3."""
    _, found, requests = walk_all(
        lambda request: reply([document(0)], skip_of(request) + 1, completed=10**9, total=10**9)
    )
    assert found == ids(0)
    assert len(requests) < 20


def test_only_the_number_of_next_is_used() -> None:
    """F4: scheme, host, path and limit of `next` are never followed."""
    pages = {0: reply([document(0)], 1, completed=2, total=2), 1: reply([document(1)], None, completed=2, total=2)}
    _, found, requests = walk_all(lambda request: pages[skip_of(request)])
    assert found == ids(0, 1)
    assert [(request.path, dict(request.query)) for request in requests] == [(PATH, {}), (PATH, {"skip": "1"})]
    assert all(request.purpose is Purpose.READ and request.stop_at is None for request in requests)


@pytest.mark.parametrize(
    "following",
    ["", "garbage", "https://a.test/x", "https://a.test/x?skip=", "https://a.test/x?skip=abc", "http://[", 7, True,
     {"skip": 1}, "https://a.test/x?skip=-1", "https://a.test/x?skip=0"],
)  # fmt: skip
def test_a_next_that_leads_nowhere_ends_the_walk(following: Any) -> None:
    """F2: the caller sees the loss by the counters."""
    body = {
        "success": True,
        "status": "completed",
        "completed": 9,
        "total": 9,
        "next": following,
        "data": [document(0)],
    }
    walk = PageWalk(REF, PATH)
    request = walk.request()
    assert request is not None
    assert len(walk.read(request, answer(200, body))) == 1
    assert walk.request() is None
    assert (walk.delivered, walk.completed) == (1, 9)


# --- documents ----------------------------------------------------------------------------------------------------


def read(docs: list[Any]) -> tuple[PageWalk, list[bytes]]:
    walk = PageWalk(REF, PATH)
    request = walk.request()
    assert request is not None
    return walk, walk.read(request, reply(docs, None, completed=len(docs), total=len(docs)))


def test_equal_urls_are_different_documents() -> None:
    """F25, F8: three equal addresses are three documents; only `scrapeId` tells them apart."""
    docs = [{**document(n), "markdown": "same"} for n in range(3)]
    for doc in docs:
        doc["metadata"]["sourceURL"] = "https://a.test/same"
    walk, found = read(docs)
    assert (len(found), walk.repeated) == (3, 0)


def test_documents_without_an_id_are_told_apart_by_their_content() -> None:
    """F45: `metadata` varies, values may be arrays or missing, `markdown` may be absent."""
    docs: list[Any] = [
        {"markdown": "a"}, {"markdown": "b"}, {"metadata": {}}, {"metadata": None}, {"metadata": []},
        {"metadata": {"scrapeId": None, "n": 1}}, {"metadata": {"scrapeId": ["x"], "n": 2}},
        {"metadata": {"scrapeId": 5}}, {"metadata": {"title": ["a", "b"], "scrapeId": "s"}},
    ]  # fmt: skip
    walk, found = read(docs)
    assert [json.loads(raw) for raw in found] == docs
    assert walk.repeated == 0


@pytest.mark.parametrize("code", [404, 500])
def test_pages_of_failed_sites_are_documents(code: int) -> None:
    """F6: a site's 404 or 500 is a success of the scrape, billed and delivered."""
    doc = document(0)
    doc["metadata"]["statusCode"] = code
    assert len(read([doc])[1]) == 1


@given(st.text())
def test_documents_arrive_as_they_were_sent(text: str) -> None:
    doc = {**document(0), "markdown": text.encode("utf-8", errors="replace").decode()}
    _, [raw] = read([doc])
    assert json.loads(raw) == doc
    assert b"\n" not in raw


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        (r"half \ud83d emoji", "half � emoji"),
        (r"\ude00 first", "� first"),
        (r"end \ud83d", "end �"),
        (r"two \ud83d\ud83d\ude00", "two �😀"),
        (r"\ud83d\u0041", "�A"),
        (r"whole \ud83d\ude00", "whole 😀"),
        (r"no escape: \\ud83d", r"no escape: \ud83d"),
        (r"\\\ud83d", "\\�"),
    ],
)
def test_half_an_emoji_does_not_lose_the_result(sent: str, meant: str) -> None:
    """A text cut in the middle of a character is sent as a lone surrogate; the page is paid for and delivered."""
    text = '{"success":true,"completed":1,"total":1,"data":[{"markdown":"%s","metadata":{"scrapeId":"s"}}]}'
    walk = PageWalk(REF, PATH)
    request = walk.request()
    assert request is not None
    [raw] = walk.read(request, answer(200, text % sent))
    assert msgspec.json.decode(raw)["markdown"] == meant
    assert Reply(200, {}, (text % sent).encode()).json()["completed"] == 1


# --- answers that are no page -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (answer(200, ""), errors.UnexpectedReplyError),
        (answer(200, "[]"), errors.UnexpectedReplyError),
        (answer(200, {}), errors.UnexpectedReplyError),
        (answer(200, {"message": "hello"}), errors.UnexpectedReplyError),
        (answer(200, {"data": None}), errors.UnexpectedReplyError),
        (answer(200, {"data": {"a": 1}}), errors.UnexpectedReplyError),
        (answer(200, '{"success":true,"status":"completed","data":[{"markdown":"x'), errors.UnexpectedReplyError),
        (answer(200, {"success": False, "error": "gone", "data": []}), errors.UnexpectedReplyError),
        (answer(200, '{"data":[{"json":' + "[" * 5000 + "]" * 5000 + "}]}"), errors.UnexpectedReplyError),
        (page(200, "Please log in"), errors.UnexpectedReplyError),
        (answer(401, {"success": False, "error": "Unauthorized"}), errors.AuthenticationError),
        (answer(403, {"message": "Forbidden"}), errors.PermissionDeniedError),
        (answer(404, {"success": False, "error": "Job expired"}), errors.JobNotFoundError),
        (page(404, "Cannot GET"), errors.RouteNotFoundError),
        (answer(429, {"error": "slow down"}), errors.RateLimitedError),
        (page(502, "Bad gateway"), errors.ServiceUnavailableError),
    ],
)
def test_a_page_that_fails_is_never_an_empty_page(bad: Reply, expected: type) -> None:
    """F5, F7: a request that fails is raised; a part of the result is never taken for all of it."""
    walk = PageWalk(REF, PATH)
    request = walk.request()
    assert request is not None
    with pytest.raises(expected) as caught:
        walk.read(request, bad)
    assert type(caught.value) is expected
    assert PATH in str(caught.value)
    assert walk.delivered == 0
    assert walk.request() == request


# --- recorded walks -----------------------------------------------------------------------------------------------


def recorded_server(path_end: str, *names: str, section: str = "") -> Server:
    """The recorded answers of one job by their query."""
    answers = {
        found.query.get("skip", "0"): found.reply
        for found in exchanges("firecrawl")
        if found.path.endswith(path_end) and found.name in names and section in found.section
    }
    return lambda request: answers[request.query.get("skip", "0")]


def distinct_ids(server: Server) -> tuple[PageWalk, int]:
    walk = PageWalk(REF, PATH)
    found: list[Any] = []
    while (request := walk.request()) is not None:
        found += [msgspec.json.decode(raw)["metadata"]["scrapeId"] for raw in walk.read(request, server(request))]
    return walk, len(set(found))


def test_recorded_walk_of_120_documents_with_database() -> None:
    """Column B: 101 documents and 19."""
    walk, number = distinct_ids(recorded_server("894a380f8", "query ''", "query '?skip=101'"))
    assert (number, walk.delivered, walk.repeated, walk.completed) == (120, 120, 0, 120)


def test_recorded_walk_of_five_big_pages_without_database() -> None:
    """F3, column A: one address five times, four lost."""
    names = [f"page {n}" for n in range(5)]
    walk, number = distinct_ids(recorded_server("350a3de345cf", *names))
    assert (number, walk.delivered, walk.completed) == (1, 1, 5)
    assert walk.repeated >= 1


def test_recorded_walk_of_five_big_pages_of_the_older_server() -> None:
    """Column C: five pages, five documents."""
    walk, number = distinct_ids(recorded_server("79a89e9d4e", *[f"page {n}" for n in range(5)]))
    assert (number, walk.repeated, walk.completed) == (5, 0, 5)


def test_recorded_walk_after_one_result_was_lost() -> None:
    """F7, column A: completed 4, three documents, no next."""
    walk, number = distinct_ids(recorded_server("fecad064110d", "walk 1"))
    assert (number, walk.repeated, walk.completed) == (3, 0, 4)


def test_recorded_walk_with_a_document_twice() -> None:
    """F8, column C: 3 + 1, one of them again."""
    walk, number = distinct_ids(recorded_server("9b5a5b3053fe", "walk 1", "walk 2"))
    assert (number, walk.repeated, walk.completed) == (3, 1, 4)


def test_recorded_walk_after_the_results_were_dropped() -> None:
    """F33, F7: completed 10 of 10, no document, no next."""
    walk, number = distinct_ids(
        recorded_server("4a3aa71d3042", "the old job now: completed 10 of 10, no document, no next")
    )
    assert (number, walk.delivered, walk.completed) == (0, 0, 10)


def test_recorded_walk_of_a_cancelled_job_that_no_worker_drains() -> None:
    """F2, F11: `?skip=0` for ever."""
    walk, number = distinct_ids(recorded_server("220a6c8cff20", "after cancel"))
    assert (number, walk.completed) == (0, 0)
