"""What `skip`, `limit` and `next` do in each generation of the server."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_jobs.sandbox import Sandbox


@pytest.fixture
def status(sandbox: Sandbox, firecrawl: Any) -> Any:
    def ask(job_id: str, query: str = "") -> tuple[int, str | None]:
        """Number of documents, and the query of `next`."""
        body = firecrawl("GET", f"/v1/batch/scrape/{job_id}{query}").json()
        address = body.get("next")
        if address is None:
            return len(body["data"]), None
        start = f"{sandbox.urls['firecrawl']}/v1/batch/scrape/{job_id}"
        assert address.startswith(start)
        return len(body["data"]), address.removeprefix(start)

    return ask


def test_current(sandbox: Sandbox, firecrawl: Any, start: Any, pages: Any, status: Any) -> None:
    sandbox.control.settings(firecrawl={"synthetic": True})
    job_id = start(pages(*range(250)))
    assert status(job_id) == (100, "?skip=100")
    assert status(job_id, "?skip=100") == (100, "?skip=200")
    assert status(job_id, "?skip=200") == (50, None)
    assert status(job_id, "?limit=1") == (1, "?skip=1&limit=1")
    assert status(job_id, "?limit=1&skip=249") == (1, None)
    assert status(job_id, "?skip=100000&limit=1") == (0, None)
    assert status(job_id, "?skip=0&limit=1000") == (250, None)
    for query in ("?limit=0", "?limit=1001", "?limit=abc", "?skip=-1", "?skip="):
        assert firecrawl("GET", f"/v1/batch/scrape/{job_id}{query}").status_code == 400


def test_current_next_never_ends_on_a_cancelled_job(
    sandbox: Sandbox, firecrawl: Any, start: Any, pages: Any, status: Any
) -> None:
    sandbox.control.settings(firecrawl={"hold_after": 2, "concurrency": 1})
    job_id = start(pages(1, 2, 3), until=None)
    sandbox.control.wait_for(lambda: sandbox.control.job(job_id)["completed"] == 2)
    firecrawl("DELETE", f"/v1/batch/scrape/{job_id}")
    sandbox.control.wait_for(lambda: sandbox.control.job(job_id)["total"] == 2)
    assert status(job_id) == (2, "?skip=2")
    assert status(job_id, "?skip=2") == (0, "?skip=2")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", (10, None)),
        ("?limit=3", (10, None)),
        ("?skip=3&limit=3", (10, None)),
        ("?skip=100", (10, None)),
        ("?skip=-2", (10, "?skip=8")),
        ("?skip=abc", (10, None)),
        ("?skip=&limit=", (10, None)),
    ],
)
def test_a_ignores_skip_and_limit(
    sandbox: Sandbox, start: Any, pages: Any, status: Any, query: str, expected: Any
) -> None:
    sandbox.control.settings(firecrawl={"pagination": "A", "synthetic": True, "server": "2025"})
    assert status(start(pages(*range(10))), query) == expected


def test_a_repeats_the_first_document_above_the_size(sandbox: Sandbox, firecrawl: Any, start: Any, pages: Any) -> None:
    settings = {"pagination": "A", "synthetic": True, "content_bytes": 6500, "page_bytes": 10_000}
    sandbox.control.settings(firecrawl=settings)
    job_id = start(pages(1, 2, 3, 4, 5))
    path: str | None = f"/v1/batch/scrape/{job_id}"
    seen: list[str] = []
    while path is not None:
        body = firecrawl("GET", path).json()
        seen += [document["metadata"]["scrapeId"] for document in body["data"]]
        path = body.get("next", "").removeprefix(sandbox.urls["firecrawl"]) or None
    assert len(seen) == 5
    assert len(set(seen)) == 1


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", (101, "?skip=101")),
        ("?skip=100", (20, None)),
        ("?skip=101", (19, None)),
        ("?limit=10", (10, "?skip=10&limit=10")),
        ("?skip=119", (1, None)),
        ("?skip=120", (0, None)),
        ("?skip=500", (0, None)),
        ("?limit=0", (0, "?skip=0&limit=0")),
        ("?limit=-1", (119, "?skip=119&limit=-1")),
        ("?limit=1000", (120, None)),
    ],
)
def test_b(sandbox: Sandbox, start: Any, pages: Any, status: Any, query: str, expected: Any) -> None:
    sandbox.control.settings(firecrawl={"pagination": "B", "synthetic": True, "page_documents": 101})
    assert status(start(pages(*range(120))), query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", (10, None)),
        ("?limit=3", (3, "?skip=3&limit=3")),
        ("?skip=3", (7, None)),
        ("?skip=9&limit=3", (1, None)),
        ("?skip=10", (0, None)),
        ("?skip=100", (0, "?skip=100")),
        ("?limit=0", (10, None)),
        ("?limit=-1", (9, "?skip=9&limit=-1")),
        ("?skip=-2", (2, "?skip=0")),
    ],
)
def test_c(sandbox: Sandbox, start: Any, pages: Any, status: Any, query: str, expected: Any) -> None:
    sandbox.control.settings(firecrawl={"pagination": "C", "synthetic": True, "server": "2025"})
    assert status(start(pages(*range(10))), query) == expected


@pytest.mark.parametrize("pagination", ["B", "C"])
def test_text_as_skip_is_a_500(sandbox: Sandbox, firecrawl: Any, start: Any, pages: Any, pagination: str) -> None:
    sandbox.control.settings(firecrawl={"pagination": pagination})
    reply = firecrawl("GET", f"/v1/batch/scrape/{start(pages(1))}?skip=abc")
    assert (reply.status_code, reply.json()["code"]) == (500, "UNKNOWN_ERROR")


def test_c_while_running_and_cancelled(sandbox: Sandbox, firecrawl: Any, start: Any, pages: Any, status: Any) -> None:
    sandbox.control.settings(firecrawl={"pagination": "C", "hold_after": 2, "concurrency": 1})
    job_id = start(pages(1, 2, 3, 4), until=None)
    sandbox.control.wait_for(lambda: sandbox.control.job(job_id)["completed"] == 2)
    assert firecrawl("GET", f"/v1/batch/scrape/{job_id}").json()["creditsUsed"] == 4
    assert status(job_id) == (2, "?skip=2")
    assert status(job_id, "?skip=50") == (0, "?skip=50")
    firecrawl("DELETE", f"/v1/batch/scrape/{job_id}")
    assert status(job_id) == (2, None)


@pytest.mark.parametrize("pagination", ["A", "B", "C", "current"])
def test_sizes_limit_a_page(sandbox: Sandbox, start: Any, pages: Any, status: Any, pagination: str) -> None:
    settings = {"synthetic": True, "content_bytes": 3000, "page_bytes": 11_000, "pagination": pagination}
    sandbox.control.settings(firecrawl=settings)
    assert status(start(pages(*range(7)))) == (3, "?skip=3")


@pytest.mark.parametrize("pagination", ["A", "B", "current"])
def test_lost_results_are_counted_in_the_cursor(
    sandbox: Sandbox, firecrawl: Any, start: Any, pages: Any, status: Any, pagination: str
) -> None:
    sandbox.control.settings(firecrawl={"synthetic": True, "drop_results": 1, "pagination": pagination})
    job_id = start(pages(1, 2, 3, 4))
    assert status(job_id) == (3, None)
    assert firecrawl("GET", f"/v1/batch/scrape/{job_id}").json()["completed"] == 4


def test_c_delivers_one_document_twice(sandbox: Sandbox, firecrawl: Any, start: Any, pages: Any, status: Any) -> None:
    sandbox.control.settings(firecrawl={"synthetic": True, "drop_results": 1, "pagination": "C"})
    job_id = start(pages(1, 2, 3, 4))
    assert status(job_id) == (3, "?skip=3")
    assert status(job_id, "?skip=3") == (1, None)


def test_duplicate_document(sandbox: Sandbox, firecrawl: Any, start: Any, pages: Any) -> None:
    sandbox.control.settings(firecrawl={"synthetic": True, "duplicate_document": True})
    data = firecrawl("GET", f"/v1/batch/scrape/{start(pages(1, 2))}").json()["data"]
    assert len(data) == 3
    assert len({document["metadata"]["scrapeId"] for document in data}) == 2


def test_next_on_another_host(sandbox: Sandbox, firecrawl: Any, start: Any, pages: Any) -> None:
    stranger = sandbox.urls["stranger"]
    sandbox.control.settings(firecrawl={"synthetic": True, "next_origin": stranger})
    job_id = start(pages(*range(120)))
    path = f"/v1/batch/scrape/{job_id}"
    assert firecrawl("GET", path).json()["next"] == f"{stranger}{path}?skip=100"
    sandbox.control.settings(firecrawl={"next_origin": "https"})
    assert firecrawl("GET", path).json()["next"].startswith("https://127.0.0.1:")
    sandbox.control.settings(firecrawl={"next_origin": None})
    body = firecrawl("GET", path, headers={"Host": "other.example:1234"}).json()
    assert body["next"] == f"http://other.example:1234{path}?skip=100"


def test_big_pages_of_the_site(sandbox: Sandbox, firecrawl: Any, start: Any) -> None:
    site = sandbox.urls["site"]
    job_id = start([f"{site}/big/{number}.html" for number in (1, 2)])
    reply = firecrawl("GET", f"/v1/batch/scrape/{job_id}")
    assert len(reply.content) > 6_000_000
    assert reply.json()["next"].endswith("?skip=1")
