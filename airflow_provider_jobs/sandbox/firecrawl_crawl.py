"""How a crawl finds its pages: breadth first, on the same site."""

from __future__ import annotations

import re
import urllib.parse
import urllib.robotparser
from typing import Any

from bs4 import BeautifulSoup

from airflow_provider_jobs.sandbox.firecrawl_jobs import FirecrawlJob
from airflow_provider_jobs.sandbox.pages import Document, Fetched, Fetcher, PageFailed, page_links


async def robots_of(fetcher: Fetcher, url: str) -> urllib.robotparser.RobotFileParser:
    """The robots.txt of a site; without one everything is allowed."""
    robots = urllib.robotparser.RobotFileParser()
    try:
        page = await fetcher.get(urllib.parse.urljoin(url, "/robots.txt"), {"timeout": 5000})
    except PageFailed:
        robots.parse([])
        return robots
    robots.parse(page.text.splitlines() if page.status == 200 else [])
    return robots


class Frontier:
    """Decides which links of a fetched page belong to the crawl."""

    def __init__(
        self, job: FirecrawlJob, body: dict[str, Any], robots: urllib.robotparser.RobotFileParser, limit: int
    ) -> None:
        self._job = job
        self._body = body
        self._robots = robots
        self._limit = limit
        start = job.input[0]
        self._start = urllib.parse.urlsplit(start)
        self._depths = {_plain(start): 0}
        self._whole = bool(body.get("crawlEntireDomain") or body.get("allowBackwardLinks"))

    def page(self, url: str, document: Document, page: Any) -> None:
        """Take up the links of a page."""
        depth = self._depths.get(_plain(url), 0)
        deepest = self._body.get("maxDiscoveryDepth")
        if not isinstance(page, Fetched) or (deepest is not None and depth >= deepest):
            return
        for link in page_links(BeautifulSoup(page.text, "html.parser"), page.url):
            if _plain(link) in self._depths or not self._wanted(link):
                continue
            if not self._body.get("ignoreRobotsTxt") and not self._robots.can_fetch("*", link):
                self._depths[_plain(link)] = depth + 1
                self._job.robots_blocked.append(link)
                continue
            if len(self._job.input) >= self._limit:
                return
            self._depths[_plain(link)] = depth + 1
            if self._job.cancelled_at is None:
                self._job.append([link])

    def _wanted(self, link: str) -> bool:
        parts = urllib.parse.urlsplit(link)
        if parts.netloc != self._start.netloc and not self._body.get("allowExternalLinks"):
            return False
        folder = self._start.path.rpartition("/")[0] + "/"
        if not self._whole and not (parts.path or "/").startswith(folder):
            return False
        depth = self._body.get("maxDepth")
        if depth is not None and len([part for part in parts.path.split("/") if part]) > depth + 1:
            return False
        target = link if self._body.get("regexOnFullURL") else parts.path
        included = self._body.get("includePaths") or []
        excluded = self._body.get("excludePaths") or []
        if any(re.search(pattern, target) for pattern in excluded):
            return False
        return not included or any(re.search(pattern, target) for pattern in included)


def _plain(url: str) -> str:
    return urllib.parse.urldefrag(url).url.rstrip("/")
