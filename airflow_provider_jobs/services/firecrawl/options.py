"""Checks of the ``options`` of Firecrawl's calls against the schema of the API version in use."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from airflow_provider_jobs.services.firecrawl.schema_jobs import BODIES
from airflow_provider_jobs.services.options import Body, check_options

_RENAMED: Mapping[str, Mapping[str, str]] = {
    "v1": {
        "parsers": "did you mean 'parsePDF'? True stands for ['pdf'], False for []",
        "sitemap": "did you mean 'ignoreSitemap'? True stands for 'skip', False for 'include'",
    },
    "v2": {
        "jsonOptions": "write {'type': 'json', 'prompt': …, 'schema': …} under 'formats' instead",
        "extract": "write {'type': 'json', 'prompt': …, 'schema': …} under 'formats' instead",
        "changeTrackingOptions": "write {'type': 'changeTracking', 'modes': …} under 'formats' instead",
        "parsePDF": "did you mean 'parsers'? ['pdf'] stands for True, [] for False",
        "geolocation": "did you mean 'location'?",
        "maxDepth": "did you mean 'maxDiscoveryDepth'? It counts links from the first page, not slashes in the address",
        "ignoreSitemap": "did you mean 'sitemap'? 'skip' stands for True, 'include' for False",
        "sitemapOnly": "did you mean 'sitemap'? 'only' stands for True",
        "allowBackwardLinks": "did you mean 'crawlEntireDomain'?",
    },
}

_FLAT = {"scrapeOptions": "page options stand beside the others here, as in {'formats': ['markdown']}"}

_BODIES: Mapping[str, Body] = {
    operation: Body(
        f"Firecrawl's {operation.replace('_', ' ')}", schemas, _RENAMED,
        _FLAT if operation in ("batch_scrape", "scrape") else {},
    )
    for operation, schemas in BODIES.items()
}  # fmt: skip


def check_body_options(
    options: Any, *, operation: str, version: str | None, by_argument: Collection[str], check: bool = True
) -> dict[str, Any]:
    """Return a copy of the options of a call after checking names, types and limits, at every depth.

    :param operation: ``batch_scrape``, ``crawl``, ``scrape``, ``map``, ``search``, ``agent`` or ``extract``.
    :param version: ``v1`` or ``v2``; None when it is not known yet, then what any version accepts will do.
    :param by_argument: keys of the body that the caller sets by arguments of its own.
    :param check: False sends everything as it is, except for what an argument sets.
    :raises InvalidInputError: the service would refuse this; the message says what to write instead.
    """
    return check_options(options, _BODIES[operation], version=version, by_argument=by_argument, check=check)
