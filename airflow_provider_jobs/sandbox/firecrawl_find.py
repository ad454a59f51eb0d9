"""What map and search check in their bodies, and what they find."""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass
from typing import Any

from bs4 import BeautifulSoup

from airflow_provider_jobs.sandbox.firecrawl_checks import WALK_OF, common_issues, normal_url, url_issues, walk_issues
from airflow_provider_jobs.sandbox.firecrawl_issues import (
    bad_request,
    custom,
    number_issues,
    typed,
    unknown_keys,
    wrong_type,
)
from airflow_provider_jobs.sandbox.firecrawl_page import page_part
from airflow_provider_jobs.sandbox.pages import Fetched, page_links
from airflow_provider_jobs.sandbox.settings import FirecrawlSettings
from airflow_provider_jobs.sandbox.site import TOPICS

MAP = {
    "search": "string", "includeSubdomains": "boolean", "limit": "number", "timeout": "number", "origin": "string",
    "integration": "string", "location": "object", "useMock": "string", "filterByPath": "boolean",
    "useIndex": "boolean", "ignoreCache": "boolean", "headers": "texts",
}  # fmt: skip
MAP_OF = {"v1": {**MAP, "sitemapOnly": "boolean"}, "v2": MAP}
MAP_LIMITS = {"v1": (5000, 30_000), "v2": (5000, 100_000)}
SEARCH = {
    "query": "string", "limit": "integer", "tbs": "string", "filter": "string", "lang": "string", "country": "string",
    "location": "string", "origin": "string", "integration": "string", "timeout": "integer",
    "ignoreInvalidURLs": "boolean", "scrapeOptions": "any",
}  # fmt: skip
SEARCH_V2_2026 = {
    "includeDomains": "strings", "excludeDomains": "strings", "safe": "boolean", "enterprise": "strings",
    "asyncScraping": "boolean", "highlights": "boolean", "threatProtection": "object",
}  # fmt: skip
SEARCH_OF = {"v1": SEARCH, "v2": {**SEARCH, "sources": "array", "categories": "array"}}
SEARCH_LIMITS = {"v1": (5, 100), "v2": (10, 100)}
SOURCES = {"web", "news", "images"}
EVERYTHING = {"article", "articles", "sandbox"}


@dataclass
class MapWanted:
    """A map that was accepted."""

    url: str
    limit: int
    search: str
    subdomains: bool


@dataclass
class SearchWanted:
    """A search that was accepted."""

    query: str
    limit: int
    sources: list[str]
    page_options: dict[str, Any]


def check_map(body: dict[str, Any], version: str, settings: FirecrawlSettings) -> MapWanted:
    """The site to look at."""
    default, most = MAP_LIMITS[version]
    issues = unknown_keys(body, {"url", *MAP_OF[version], *WALK_OF[version]}, version, [])
    issues += typed(body, MAP_OF[version], []) + walk_issues(body, version, settings)
    if "url" not in body:
        issues.append(wrong_type(["url"], "string", "undefined"))
    else:
        issues += url_issues(body["url"], ["url"])
    issues += number_issues(body, "limit", [], 1, most) + number_issues(body, "timeout", [], 1)
    issues += common_issues(body, version, settings)
    if issues:
        raise bad_request(issues, settings)
    subdomains = body.get("includeSubdomains", True) is True
    return MapWanted(normal_url(body["url"]), int(body.get("limit", default)), body.get("search") or "", subdomains)


def addresses_of(soup: BeautifulSoup, page: Fetched, wanted: MapWanted) -> list[dict[str, Any]]:
    """The page itself and what it links to on the same site; no title where only the address is known."""
    host = urllib.parse.urlsplit(wanted.url).netloc
    titles = {wanted.url: soup.title.get_text().strip() if soup.title is not None else None}
    for tag in soup.find_all("a", href=True):
        titles.setdefault(urllib.parse.urljoin(page.url, str(tag["href"])), tag.get_text().strip())
    found = []
    for address in dict.fromkeys([wanted.url, *page_links(soup, page.url)]):
        there = urllib.parse.urlsplit(address).netloc
        same = there == host or (wanted.subdomains and there.endswith(f".{host}"))
        if same and wanted.search.lower() in address.lower():
            title = titles.get(address)
            found.append({"url": address, **({"title": title} if title else {})})
    return found[: wanted.limit]


def check_search(body: dict[str, Any], version: str, settings: FirecrawlSettings) -> SearchWanted:
    """What to search for."""
    default, most = SEARCH_LIMITS[version]
    known = {**SEARCH_OF[version], **({} if settings.old or version == "v1" else SEARCH_V2_2026)}
    issues = unknown_keys(body, known, version, []) + typed(body, known, [])
    if "query" not in body:
        issues.append(wrong_type(["query"], "string", "undefined"))
    issues += number_issues(body, "limit", [], 1, most) + number_issues(body, "timeout", [], 1)
    issues += common_issues(body, version, settings)
    if body.get("includeDomains") and body.get("excludeDomains"):
        issues.append(custom([], "includeDomains and excludeDomains cannot both be specified"))
    options, wrong = page_part(body, version, settings)
    issues += wrong
    given = body.get("sources", ["web"])
    sources = (
        [item.get("type") if isinstance(item, dict) else item for item in given] if isinstance(given, list) else []
    )
    if not sources or not all(isinstance(name, str) and name in SOURCES for name in sources):
        issues.append({"code": "invalid_union", "unionErrors": [], "path": ["sources"], "message": "Invalid input"})
    if issues:
        raise bad_request(issues, settings)
    # Without formats the results are not read.
    pages = options if options.get("formats") else {}
    return SearchWanted(str(body["query"]), int(body.get("limit", default)), [str(name) for name in sources], pages)


def found_by(wanted: SearchWanted, site: str) -> list[dict[str, Any]]:
    """The articles that have a word of the query in their title; `articles` finds all of them."""
    words = set(re.findall(r"\w+", wanted.query.lower()))
    found = [
        {"url": f"{site}/articles/{number}.html", "title": topic, "description": f"Description of {topic}"}
        for number, topic in enumerate(TOPICS, start=1)
        if words & {topic.lower(), *EVERYTHING}
    ]
    return found[: wanted.limit]
