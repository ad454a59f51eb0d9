"""No exception class without a test of its text: here those that pure code raises, elsewhere the others, by name."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import airflow_provider_jobs
from airflow_provider_jobs import exceptions
from airflow_provider_jobs.exceptions import RemoteJobsError
from airflow_provider_jobs.jobs.event import JobEvent
from airflow_provider_jobs.services.base import Purpose, Request
from airflow_provider_jobs.services.cancelling import cancel_flow
from airflow_provider_jobs.services.datafiniti import DatafinitiService, check_file_reply
from airflow_provider_jobs.services.firecrawl import FirecrawlService
from tests.services.driving import BATCH, DOWNLOAD, Talk, answer, page

FIRECRAWL, DATAFINITI = FirecrawlService(), DatafinitiService()
GET = Request("GET", "/v1/batch/scrape/abc", Purpose.POLL)
LOOKED = f"Firecrawl answered HTTP %s to GET /v1/batch/scrape/{BATCH.job_id}"


def look(reply: Any) -> Any:
    return lambda: Talk(FIRECRAWL.look(BATCH), [reply]).run()


RUNNING = answer(200, {"success": True, "status": "scraping"})

# Class -> what raises it in real code, and the whole text that a user reads.
HERE: dict[str, tuple[Callable[[], Any], str]] = {
    "InvalidInputError": (
        lambda: FIRECRAWL.batch_scrape([], api_version="v1"),
        "urls is empty: there is nothing to scrape",
    ),
    "UnexpectedReplyError": (
        look(answer(200, "OK")),
        f"GET /v1/batch/scrape/{BATCH.job_id} was answered with HTTP 200, but not with a JSON object: 'OK'",
    ),
    "RedirectRefusedError": (
        look(answer(302)),
        LOOKED % 302 + "; redirects are not followed here",
    ),
    "RequestRejectedError": (
        look(
            answer(
                400, {"success": False, "error": "Bad Request", "details": [{"path": ["urls"], "message": "Required"}]}
            )
        ),
        LOOKED % 400 + ": Bad Request; urls: Required",
    ),
    "AuthenticationError": (
        look(answer(401, {"success": False, "error": "Unauthorized: Invalid token"})),
        LOOKED % 401 + ": Unauthorized: Invalid token (the key was not accepted; check the connection's password)",
    ),
    "PaymentRequiredError": (
        look(answer(402, {"success": False, "error": "Insufficient credits"})),
        LOOKED % 402 + ": Insufficient credits (the account has too few credits)",
    ),
    "PermissionDeniedError": (
        look(answer(403, {"success": False, "error": "Forbidden"})),
        LOOKED % 403 + ": Forbidden (the account may not do this)",
    ),
    "JobNotFoundError": (
        look(answer(404, {"success": False, "error": "Job expired"})),
        LOOKED % 404 + ": Job expired",
    ),
    "RouteNotFoundError": (
        look(page(404, "Cannot GET /v3")),
        LOOKED % 404
        + ": Cannot GET /v3 (no such address on this server; check the connection's host and the API version)",
    ),
    "EndpointGoneError": (
        look(answer(410, {"error": "use /v2/scrape"})),
        LOOKED % 410 + ": use /v2/scrape (the service has shut this endpoint down)",
    ),
    "RateLimitedError": (
        look(answer(429, {"success": False, "error": "please retry after 58s"})),
        LOOKED % 429 + ": please retry after 58s (too many requests)",
    ),
    "ServiceUnavailableError": (
        look(page(502, "Bad gateway")),
        LOOKED % 502 + ": Bad gateway",
    ),
    "JobNotCancelledError": (
        lambda: Talk(cancel_flow(FIRECRAWL, BATCH), [RUNNING, answer(403, {"error": "Unauthorized"})]).run(),
        f"{BATCH} could not be cancelled and may still run: Firecrawl answered HTTP 403 to DELETE "
        f"/v1/batch/scrape/{BATCH.job_id}: Unauthorized (the account may not do this)",
    ),
    "TriggerEventError": (
        lambda: JobEvent.of(None, DOWNLOAD),
        "the trigger returned no event, but NoneType",
    ),
    "ResultExpiredError": (
        lambda: check_file_reply("7_1.txt", answer(403, "Request has expired")),
        "result file 7_1.txt: HTTP 403; links live for seven days after the job's end, and files are withheld while "
        "overages are unpaid: Request has expired",
    ),
}

# Raised by higher layers only; the folders of tests in which their texts are asserted.
ELSEWHERE: dict[str, tuple[str, ...]] = {
    "ConnectionSettingsError": ("tests/hooks", "tests/transport"),
    "TransportError": ("tests/transport",),
    "TlsError": ("tests/transport",),
    "StartUncertainError": ("tests/hooks", "tests/operators"),
    "CallUncertainError": ("tests/operators",),
    "PageTimeoutError": ("tests/operators",),
    "JobFailedError": ("tests/operators", "tests/airflow"),
    "JobCancelledError": ("tests/operators", "tests/airflow"),
    "JobNotOverError": ("tests/operators",),
    "JobTimeoutError": ("tests/hooks", "tests/operators", "tests/airflow"),
    "JobKilledError": ("tests/operators", "tests/airflow"),
    "NotCancellableError": ("tests/operators",),
    "ResultIncompleteError": ("tests/operators", "tests/airflow"),
    "ResultNotDeliveredError": ("tests/operators",),
    "ResultTooLargeError": ("tests/results",),
    "OutputConflictError": ("tests/results",),
    "OutputUnavailableError": ("tests/results",),
    "LedgerError": ("tests/ledger",),
    "LedgerSettingsError": ("tests/ledger",),
}
# Never raised themselves, except by operators that pass on what a trigger told them.
BASES = {"RemoteJobsError", "ServiceError"}
PERMANENT = {
    "InvalidInputError", "ConnectionSettingsError", "TlsError", "RedirectRefusedError", "RequestRejectedError",
    "AuthenticationError", "PaymentRequiredError", "PermissionDeniedError", "JobNotFoundError", "RouteNotFoundError",
    "EndpointGoneError", "StartUncertainError", "CallUncertainError",
    "JobNotCancelledError", "NotCancellableError", "ResultIncompleteError", "ResultNotDeliveredError",
    "ResultTooLargeError", "ResultExpiredError", "OutputConflictError", "LedgerSettingsError", "ServiceError",
}  # fmt: skip
CLASSES = {
    name: value
    for name, value in vars(exceptions).items()
    if inspect.isclass(value) and issubclass(value, Exception) and value.__module__ == exceptions.__name__
}
PACKAGE = Path(airflow_provider_jobs.__file__).parent


def test_no_class_is_forgotten() -> None:
    assert set(CLASSES) == set(HERE) | set(ELSEWHERE) | BASES
    assert not set(HERE) & set(ELSEWHERE)


@pytest.mark.parametrize("name", sorted(HERE))
def test_the_text_that_a_user_reads(name: str) -> None:
    call, text = HERE[name]
    with pytest.raises(RemoteJobsError) as caught:
        call()
    assert type(caught.value) is CLASSES[name]
    assert str(caught.value) == text


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_class_is_ours_and_says_whether_a_retry_can_help(name: str) -> None:
    assert issubclass(CLASSES[name], RemoteJobsError)
    assert CLASSES[name].permanent is (name in PERMANENT)
    assert CLASSES[name].__doc__


def _raised() -> set[str]:
    """Names of our classes that the package's code makes an instance of, by a call or through a table."""
    found: set[str] = set()
    for file in PACKAGE.rglob("*.py"):
        if "sandbox" in file.parts or file.name == "exceptions.py":
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                found.add(node.func.id)
            elif isinstance(node, ast.Dict) or (
                isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get"
            ):
                found |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    return found & set(CLASSES)


def test_every_class_is_raised_by_real_code() -> None:
    assert set(CLASSES) - BASES <= _raised()
