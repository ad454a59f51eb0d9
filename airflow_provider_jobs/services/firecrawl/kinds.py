"""The kinds of Firecrawl jobs: where they live, in which API versions, and what can be done with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_jobs.exceptions import InvalidInputError, NotCancellableError
from airflow_provider_jobs.services.base import KindInfo

VERSIONS = ("v1", "v2")
EXTRACT_ENDS = "2026-12-10 15:00 UTC"
EXTRACT_SUCCESSOR = (
    f"Firecrawl ends extract on {EXTRACT_ENDS}, for starts and for results; use a scrape (one page) or a batch scrape "
    "(several) with a json format in its options, or FirecrawlAgentOperator where the addresses are not known"
)
"""What Firecrawl's own migration guide advises."""


@dataclass(frozen=True, slots=True)
class FirecrawlKind(KindInfo):
    """One kind of job.

    :param route: its address below the API version.
    :param versions: the API versions that have it.
    :param paged: the result is a list of documents in pages; else it is one JSON value in the status itself.
    """

    route: str = ""
    versions: tuple[str, ...] = VERSIONS
    paged: bool = True


KINDS: Mapping[str, FirecrawlKind] = {
    "batch_scrape": FirecrawlKind(route="/batch/scrape"),
    "crawl": FirecrawlKind(route="/crawl"),
    "agent": FirecrawlKind(route="/agent", versions=("v2",), paged=False, cancelled_as_failed=True),
    "extract": FirecrawlKind(
        route="/extract", paged=False, cancellable=False, instead="an extract runs to its end and is billed"
    ),
    "scrape": FirecrawlKind(route="/scrape", watchable=False),
}
"""Jobs by kind. A single scrape is no job: it can be asked to be cancelled, where a server offers that."""

WATCHABLE = tuple(name for name, info in KINDS.items() if info.watchable)
CANCELLABLE = tuple(name for name, info in KINDS.items() if info.cancellable)


def check_version(version: Any) -> str:
    """Return an API version.

    :raises InvalidInputError: there is no such version.
    """
    if version not in VERSIONS:
        raise InvalidInputError(f"api_version must be one of {', '.join(VERSIONS)}, not {version!r}")
    return str(version)


def check_kind(kind: Any) -> None:
    """Raise for a kind of job that there is not, or that has no status to ask for.

    :raises InvalidInputError: naming those that there are.
    """
    if kind not in WATCHABLE:
        raise InvalidInputError(f"kind must be one of {', '.join(WATCHABLE)}, not {kind!r}")


def check_cancellable(kind: Any) -> None:
    """Raise for a kind of job that Firecrawl cannot cancel.

    :raises NotCancellableError: it cannot, or there is no such kind.
    """
    if kind not in CANCELLABLE:
        instead = f"; {KINDS[kind].instead}" if kind in KINDS else ""
        raise NotCancellableError(f"Firecrawl cannot cancel {kind!r}{instead}; it can cancel {', '.join(CANCELLABLE)}")


def version_for(kind: str, *, given: Any, default: str) -> str:
    """Return the API version of a kind of job.

    :param given: the user's word, or None.
    :param default: the connection's, which gives way where the kind does not exist in it.
    :raises InvalidInputError: no such version, or the kind does not exist in the given one.
    """
    versions = KINDS[kind].versions if kind in KINDS else VERSIONS
    if given is None:
        return default if default in versions else versions[-1]
    if check_version(given) not in versions:
        raise InvalidInputError(f"Firecrawl has {kind} in {', '.join(versions)} only, not in {given}")
    return str(given)


def check_version_of(kind: str | None, version: str | None) -> None:
    """Raise for a version that there is not, or in which the kind does not exist; None is not known yet.

    :raises InvalidInputError: naming those that there are.
    """
    if version is not None:
        check_version(version)
        if kind is not None:
            version_for(kind, given=version, default=version)


def route_of(kind: str) -> str:
    """Return a kind's address below the API version.

    :raises InvalidInputError: no such kind.
    """
    if kind not in KINDS:
        raise InvalidInputError(f"kind must be one of {', '.join(KINDS)} for Firecrawl, not {kind!r}")
    return KINDS[kind].route
