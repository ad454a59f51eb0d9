"""Fetches a page and turns it into a document, as Firecrawl's worker does."""

from __future__ import annotations

import asyncio
import urllib.parse
import uuid
from dataclasses import dataclass
from typing import Any

import aiohttp
from bs4 import BeautifulSoup
from bs4.element import Tag
from markdownify import markdownify

ALL_FAILED = (
    "All scraping engines failed! -- Double check the URL to make sure it's not broken. "
    "If the issue persists, contact us at help@firecrawl.com."
)
NO_HOST = "DNS resolution failed for hostname: {host}. Please verify the domain name is correct and resolvable."
CHROME = ["nav", "header", "footer", "aside"]
NEVER = ["script", "style", "noscript", "template"]
USER_AGENT = "airflow-provider-jobs-sandbox (stand-in)"
MAX_BYTES = 64 * 1024 * 1024
Document = dict[str, Any]


class PageFailed(Exception):
    """A page that could not be fetched."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass
class Fetched:
    """What came from the website."""

    url: str
    status: int
    content_type: str
    text: str


class Fetcher:
    """Fetches pages over one connection pool."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: str, options: dict[str, Any]) -> Fetched:
        """The page at this address, after redirects."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=64, force_close=True),
                headers={"User-Agent": USER_AGENT},
                max_field_size=64 * 1024,
            )
        limit = float(options.get("timeout") or 60_000) / 1000
        host = urllib.parse.urlsplit(url).hostname or ""
        no_host = PageFailed("SCRAPE_DNS_RESOLUTION_ERROR", NO_HOST.format(host=host))
        if host.endswith(".invalid"):
            # Such a name never resolves; asking for it may take long where there is no network.
            raise no_host
        try:
            async with asyncio.timeout(limit):
                async with self._session.get(url, headers=options.get("headers") or {}, allow_redirects=True) as reply:
                    raw = await reply.content.read(MAX_BYTES)
                    while not reply.content.at_eof() and len(raw) < MAX_BYTES:
                        raw += await reply.content.read(MAX_BYTES - len(raw))
                    text = raw.decode(reply.charset or "utf-8", "replace")
                    content_type = reply.headers.get("Content-Type", "")
                    return Fetched(str(reply.url), reply.status, content_type, text)
        except TimeoutError:
            raise PageFailed("SCRAPE_TIMEOUT", "Scrape timed out") from None
        except aiohttp.ClientConnectorDNSError:
            raise no_host from None
        except (aiohttp.ClientError, OSError, ValueError, LookupError):
            raise PageFailed("SCRAPE_ALL_ENGINES_FAILED", ALL_FAILED) from None

    async def document(self, url: str, options: dict[str, Any]) -> tuple[Document, Fetched]:
        """The document of a page, and the page itself."""
        page = await self.get(url, options)
        # Parsing a page of several megabytes would hold up every other answer.
        return await asyncio.to_thread(to_document, url, page, options), page

    async def close(self) -> None:
        """Close the pool."""
        if self._session is not None:
            await self._session.close()


def _formats(options: dict[str, Any]) -> dict[str, dict[str, Any]]:
    wanted: dict[str, dict[str, Any]] = {}
    for item in options.get("formats") or ["markdown"]:
        if isinstance(item, dict):
            wanted[str(item.get("type"))] = item
        else:
            wanted[str(item)] = {}
    return wanted


def to_document(url: str, page: Fetched, options: dict[str, Any]) -> Document:
    """What Firecrawl returns for this page."""
    soup = BeautifulSoup(page.text, "html.parser")
    metadata = _metadata(url, page, soup)
    links = page_links(soup, page.url)
    for tag in soup(NEVER):
        tag.decompose()
    main = soup.body or soup
    if options.get("onlyMainContent", True):
        for tag in main(CHROME):
            tag.decompose()
    formats = _formats(options)
    document: Document = {}
    if "markdown" in formats:
        big = len(page.text) > 1_000_000
        document["markdown"] = main.get_text() if big else markdownify(str(main)).strip()
    if "html" in formats:
        document["html"] = str(main)
    if "rawHtml" in formats:
        document["rawHtml"] = page.text
    if "links" in formats:
        document["links"] = links
    if "summary" in formats:
        document["summary"] = metadata.get("description") or ""
    if "json" in formats or "extract" in formats:
        document["json"] = _json_answer(formats, options, metadata)
    document["metadata"] = metadata
    return document


def _json_answer(formats: dict[str, dict[str, Any]], options: dict[str, Any], metadata: dict[str, Any]) -> Any:
    """No language model here: properties that the metadata knows are filled, all others are null."""
    schema = formats.get("json", {}).get("schema") or (options.get("jsonOptions") or {}).get("schema") or {}
    names = schema.get("properties") or {"title": {}}
    return {name: metadata.get(name) for name in names}


def page_links(soup: BeautifulSoup, base: str) -> list[str]:
    """The addresses that a page links to, in order and without repetition."""
    found: dict[str, None] = {}
    for tag in soup.find_all("a", href=True):
        if isinstance(tag, Tag):
            address = urllib.parse.urljoin(base, str(tag["href"]))
            found[urllib.parse.urldefrag(address).url] = None
    return [address for address in found if address.startswith(("http://", "https://"))]


def _metadata(url: str, page: Fetched, soup: BeautifulSoup) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    if soup.title is not None:
        metadata["title"] = soup.title.get_text().strip()
    description = soup.find("meta", attrs={"name": "description"})
    if isinstance(description, Tag) and description.get("content"):
        metadata["description"] = str(description["content"])
    if soup.html is not None and soup.html.get("lang"):
        metadata["language"] = str(soup.html["lang"])
    return {**metadata, "ogLocaleAlternate": [], **_facts(url, page)}


def _facts(url: str, page: Fetched) -> dict[str, Any]:
    return {
        "scrapeId": str(uuid.uuid4()),
        "sourceURL": url,
        "url": page.url,
        "statusCode": page.status,
        "contentType": page.content_type,
        "proxyUsed": "basic",
        "creditsUsed": 1,
    }


def synthetic_document(url: str) -> Document:
    """A document made from the address alone."""
    title = url.rsplit("/", 1)[-1] or url
    metadata = {"title": title, "description": f"Description of {title}", "language": "en"}
    return {
        "markdown": f"{title}\n{'=' * len(title)}\n\nSynthetic content of {url}",
        "metadata": {**metadata, **_facts(url, Fetched(url, 200, "text/html; charset=utf-8", ""))},
    }
