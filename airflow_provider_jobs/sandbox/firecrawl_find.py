"""What map and search check in their bodies, and what they find."""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass
from typing import Any

from bs4 import BeautifulSoup

from airflow_provider_jobs.sandbox.firecrawl_checks import (
    Issue,
    bad_request,
    common_issues,
    normal_url,
    page_part,
    too_big,
    type_name,
    unknown_keys,
    url_issues,
    wrong_type,
)
from airflow_provider_jobs.sandbox.pages import Fetched, page_links
from airflow_provider_jobs.sandbox.settings import FirecrawlSettings
from airflow_provider_jobs.sandbox.site import TOPICS

MAP = {"url", "search", "includeSubdomains", "limit", "timeout", "origin", "integration", "location"}
MAP_OF = {"v1": {"ignoreSitemap", "sitemapOnly"}, "v2": {"sitemap", "ignoreQueryParameters"}}
MAP_LIMITS = {"v1": (5000, 30_000), "v2": (5000, 100_000)}
SEARCH = {
    "query", "limit", "tbs", "lang", "country", "location", "origin", "integration", "timeout", "ignoreInvalidURLs",
    "scrapeOptions",
}  # fmt: skip
SEARCH_OF = {"v1": {"filter"}, "v2": {"sources", "categories"}}
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


def _number_issues(body: dict[str, Any], name: str, least: int, most: int | None) -> list[Issue]:
    value = body.get(name)
    if value is None:
        return []
    if isinstance(value, bool) or not isinstance(value, int):
        return [wrong_type([name], "integer", type_name(value))]
    if value < least:
        bounds = {"minimum": least, "type": "number", "inclusive": True, "exact": False}
        message = f"Number must be greater than or equal to {least}"
        return [{"code": "too_small", **bounds, "message": message, "path": [name]}]
    if most is not None and value > most:
        return [too_big([name], "number", most, f"Number must be less than or equal to {most}")]
    return []


def _text_issues(body: dict[str, Any], name: str) -> list[Issue]:
    value = body.get(name)
    return [] if value is None or isinstance(value, str) else [wrong_type([name], "string", type_name(value))]


def check_map(body: dict[str, Any], version: str, settings: FirecrawlSettings) -> MapWanted:
    """The site to look at."""
    default, most = MAP_LIMITS[version]
    issues = unknown_keys(body, MAP | MAP_OF[version], version, [])
    if "url" not in body:
        issues.append(wrong_type(["url"], "string", "undefined"))
    else:
        issues += url_issues(body["url"], ["url"])
    issues += _number_issues(body, "limit", 1, most) + _number_issues(body, "timeout", 1, None)
    issues += _text_issues(body, "search") + common_issues(body, settings)
    if body.get("sitemap", "include") not in ("include", "skip", "only"):
        issues.append({"code": "custom", "message": "Invalid enum value", "path": ["sitemap"]})
    if issues:
        raise bad_request(issues, settings)
    subdomains = body.get("includeSubdomains", True) is True
    return MapWanted(normal_url(body["url"]), body.get("limit") or default, body.get("search") or "", subdomains)


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
    issues = unknown_keys(body, SEARCH | SEARCH_OF[version], version, [])
    if "query" not in body:
        issues.append(wrong_type(["query"], "string", "undefined"))
    issues += _text_issues(body, "query") + _number_issues(body, "limit", 1, most)
    issues += _number_issues(body, "timeout", 1, None) + common_issues(body, settings)
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
    return SearchWanted(str(body["query"]), body.get("limit") or default, [str(name) for name in sources], pages)


def found_by(wanted: SearchWanted, site: str) -> list[dict[str, Any]]:
    """The articles that have a word of the query in their title; `articles` finds all of them."""
    words = set(re.findall(r"\w+", wanted.query.lower()))
    found = [
        {"url": f"{site}/articles/{number}.html", "title": topic, "description": f"Description of {topic}"}
        for number, topic in enumerate(TOPICS, start=1)
        if words & {topic.lower(), *EVERYTHING}
    ]
    return found[: wanted.limit]
