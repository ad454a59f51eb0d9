"""What the body of each Firecrawl call may hold, per API version; see :mod:`.schema` for how strict this is."""

# ruff: noqa: D101  the objects have the names of the reference
# No `from __future__ import annotations` here: TypedDict does not see Required in annotations that are text.

from collections.abc import Mapping
from typing import Annotated, Any, Required, TypedDict
from uuid import UUID

from msgspec import Meta

from airflow_provider_jobs.services.firecrawl.schema import (
    PAGE_V1,
    PAGE_V2,
    JsonSchema,
    Location,
    PageV1,
    PageV2,
    Positive,
    Prompt,
)
from airflow_provider_jobs.services.schema import LOOSE, ByType, Rule, Rules

NestedV1 = Annotated[PageV1, PAGE_V1]
NestedV2 = Annotated[PageV2, PAGE_V2]

LARGEST_MAP = 100_000
LONGEST_DELAY = 60
"""Seconds between two pages of a crawl in v2."""
MOST_URLS_OF_EXTRACT = 10


# --- what several have in common --------------------------------------------------------------------------------------


def _one_of(*events: str) -> Rule:
    def check(word: Any) -> str | None:
        if word in events:
            return None
        short = word.rpartition(".")[2]
        if short in events:
            return f"events have short names here; write {short!r}"
        return f"{word!r} is none of {', '.join(events)}"

    return check


class _Webhook(TypedDict, total=False):
    url: Required[str]
    headers: dict[str, str]
    metadata: dict[str, str]


class JobWebhook(_Webhook, total=False):
    events: list[Annotated[str, Rules(_one_of("started", "page", "completed", "failed"))]]


class AgentWebhook(_Webhook, total=False):
    events: list[Annotated[str, Rules(_one_of("started", "action", "completed", "failed", "cancelled"))]]


def _known_integration(word: Any) -> str | None:
    if word == "airflow":
        return "the service refuses 'airflow', because it is not in its list of integrations; name yourself in 'origin'"
    return None


class _Caller(TypedDict, total=False):
    integration: Annotated[str, Rules(_known_integration)]
    origin: str


class _Job(_Caller, total=False):
    webhook: str | JobWebhook
    maxConcurrency: Positive
    zeroDataRetention: bool


class _Batch(_Job, total=False):
    urls: list[str]
    ignoreInvalidURLs: bool
    appendToId: UUID


class BatchV1(PageV1, _Batch, total=False):
    pass


class BatchV2(PageV2, _Batch, total=False):
    pass


class ScrapeV1(PageV1, _Caller, total=False):
    url: str
    zeroDataRetention: bool


class ScrapeV2(PageV2, _Caller, total=False):
    url: str
    zeroDataRetention: bool


# --- crawl and map ----------------------------------------------------------------------------------------------------


class _Walk(TypedDict, total=False):
    url: str
    # Patterns are JavaScript's: only the service can tell whether they are well formed.
    includePaths: list[str]
    excludePaths: list[str]
    maxDiscoveryDepth: float
    crawlEntireDomain: bool
    allowExternalLinks: bool
    allowSubdomains: bool
    ignoreRobotsTxt: bool
    robotsUserAgent: str
    deduplicateSimilarURLs: bool
    ignoreQueryParameters: bool
    regexOnFullURL: bool


class _WalkV1(_Walk, total=False):
    delay: Annotated[float, Meta(gt=0)]
    maxDepth: float
    allowBackwardLinks: bool
    ignoreSitemap: bool


class _WalkV2(_Walk, total=False):
    delay: Annotated[float, Meta(gt=0, le=LONGEST_DELAY)]
    sitemap: str


class CrawlV1(_WalkV1, _Job, total=False):
    limit: float
    scrapeOptions: NestedV1


class CrawlV2(_WalkV2, _Job, total=False):
    limit: float
    scrapeOptions: NestedV2
    prompt: Prompt


class _Map(_Caller, total=False):
    limit: Annotated[float, Meta(ge=1, le=LARGEST_MAP)]
    search: str
    includeSubdomains: bool
    timeout: Annotated[float, Meta(gt=0)]
    useMock: str
    filterByPath: bool
    useIndex: bool
    ignoreCache: bool
    location: Annotated[Location, LOOSE]
    headers: dict[str, str]
    threatProtection: dict[str, Any]
    auditMetadata: dict[str, Any]


class MapV1(_WalkV1, _Map, total=False):
    sitemapOnly: bool


class MapV2(_WalkV2, _Map, total=False):
    pass


# --- search -----------------------------------------------------------------------------------------------------------


class _Search(_Caller, total=False):
    query: str
    limit: Annotated[int, Meta(ge=1, le=100)]
    tbs: str
    filter: str
    lang: str
    country: str
    location: str
    timeout: Positive
    ignoreInvalidURLs: bool
    threatProtection: dict[str, Any]


class SearchV1(_Search, total=False):
    scrapeOptions: NestedV1


class SearchV2(_Search, total=False):
    sources: list[str | Annotated[dict[str, Any], ByType({})]]
    categories: list[str | Annotated[dict[str, Any], ByType({})]]
    includeDomains: list[str]
    excludeDomains: list[str]
    safe: bool
    enterprise: list[str]
    asyncScraping: bool
    highlights: bool
    auditMetadata: dict[str, Any]
    scrapeOptions: NestedV2


def _domains_in_or_out(search: Mapping[str, Any]) -> str | None:
    if search.get("includeDomains") and search.get("excludeDomains"):
        return "'includeDomains' and 'excludeDomains' exclude each other"
    return None


# --- agent and extract ------------------------------------------------------------------------------------------------


class AgentV2(_Caller, total=False):
    prompt: Prompt
    urls: list[str]
    schema: JsonSchema
    maxCredits: float
    strictConstrainToURLs: bool
    webhook: str | AgentWebhook
    overrideWhitelist: str
    model: str
    effort: str
    threadId: UUID
    mode: str
    location: Any
    exchange: dict[str, Any]
    zeroDataRetention: bool
    threatProtection: dict[str, Any]
    auditMetadata: dict[str, Any]


class ExtractModel(TypedDict, total=False):
    model: str


class _Extract(_Caller, total=False):
    prompt: str
    systemPrompt: str
    schema: JsonSchema
    limit: Positive
    ignoreSitemap: bool
    includeSubdomains: bool
    allowExternalLinks: bool
    enableWebSearch: bool
    urlTrace: bool
    timeout: Positive
    agent: ExtractModel
    showSources: bool
    ignoreInvalidURLs: bool
    webhook: str | JobWebhook
    zeroDataRetention: bool
    threatProtection: dict[str, Any]


class ExtractV1(_Extract, total=False):
    urls: Annotated[list[str], Meta(max_length=MOST_URLS_OF_EXTRACT)]
    scrapeOptions: NestedV1


class ExtractV2(_Extract, total=False):
    urls: list[str]
    scrapeOptions: NestedV2


BODIES: Mapping[str, Mapping[str, Any]] = {
    "batch_scrape": {"v1": Annotated[BatchV1, PAGE_V1], "v2": Annotated[BatchV2, PAGE_V2]},
    "scrape": {"v1": Annotated[ScrapeV1, PAGE_V1], "v2": Annotated[ScrapeV2, PAGE_V2]},
    "crawl": {"v1": CrawlV1, "v2": CrawlV2},
    "map": {"v1": MapV1, "v2": MapV2},
    "search": {"v1": SearchV1, "v2": Annotated[SearchV2, Rules(_domains_in_or_out)]},
    "agent": {"v2": AgentV2},
    "extract": {"v1": ExtractV1, "v2": ExtractV2},
}
"""The request body of each operation, per API version."""
