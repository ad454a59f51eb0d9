"""The option names of Firecrawl's batch scrape, as its API reference of 2024 to 2026 and its servers know them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from airflow_provider_jobs.services.options import check_options

_PAGE_COMMON = frozenset(
    {
        "formats", "onlyMainContent", "includeTags", "excludeTags", "headers", "waitFor", "timeout", "mobile",
        "skipTlsVerification", "removeBase64Images", "blockAds", "proxy", "maxAge", "storeInCache", "location",
        "actions", "minAge",
    }
)  # fmt: skip

_PAGE_V1 = _PAGE_COMMON | {
    "parsePDF", "jsonOptions", "extract", "changeTrackingOptions", "fastMode", "useMock", "geolocation", "agent",
}  # fmt: skip
_PAGE_V2 = _PAGE_COMMON | {
    "parsers", "fastMode", "useMock", "lockdown", "redactPII", "profile", "threatProtection", "auditMetadata",
}  # fmt: skip

_JOB = frozenset(
    {
        "ignoreInvalidURLs",
        "webhook",
        "maxConcurrency",
        "appendToId",
        "zeroDataRetention",
        "integration",
        "origin",
    }
)

PAGE_OPTIONS: Mapping[str, frozenset[str]] = {"v1": _PAGE_V1, "v2": _PAGE_V2}
"""What may be said about each page, per API version."""

BATCH_OPTIONS: Mapping[str, frozenset[str]] = {v: names | _JOB for v, names in PAGE_OPTIONS.items()}
"""What the body of a batch scrape may hold beside ``urls``, per API version."""


def check_body_options(
    options: Any, *, operation: str, version: str | None, by_argument: Collection[str], check: bool = True
) -> dict[str, Any]:
    """Return a copy of the options of an operation after checking them."""
    return check_options(
        options,
        where="Firecrawl's " + operation.replace("_", " "),
        known=BATCH_OPTIONS,
        version=version,
        by_argument=by_argument,
        check_names=check and operation == "batch_scrape",
    )
