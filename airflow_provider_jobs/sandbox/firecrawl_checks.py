"""What Firecrawl says about the body of a start request before it starts anything."""

from __future__ import annotations

import re
import urllib.parse
import uuid
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_jobs.sandbox.firecrawl_issues import (
    Issue,
    Refused,
    bad_request,
    custom,
    number_issues,
    strict,
    too_big,
    too_small,
    type_name,
    typed,
    unknown_keys,
    wrong_type,
)
from airflow_provider_jobs.sandbox.firecrawl_page import page_issues, page_kinds, page_part
from airflow_provider_jobs.sandbox.settings import FirecrawlSettings

COMMON = {
    "webhook": "any", "maxConcurrency": "integer", "zeroDataRetention": "boolean", "integration": "string",
    "origin": "string",
}  # fmt: skip
SCRAPE = {"url", "origin", "integration", "zeroDataRetention"}
BATCH = {*COMMON, "urls", "ignoreInvalidURLs", "appendToId"}
WALK = {
    "maxDiscoveryDepth": "number", "includePaths": "strings", "excludePaths": "strings", "regexOnFullURL": "boolean",
    "ignoreQueryParameters": "boolean", "allowExternalLinks": "boolean", "allowSubdomains": "boolean",
    "crawlEntireDomain": "boolean", "delay": "number", "deduplicateSimilarURLs": "boolean",
    "ignoreRobotsTxt": "boolean", "robotsUserAgent": "string",
}  # fmt: skip
WALK_OF = {
    "v1": {**WALK, "maxDepth": "number", "allowBackwardLinks": "boolean", "ignoreSitemap": "boolean"},
    "v2": {**WALK, "sitemap": "string"},
}
CRAWL = {*COMMON, "url", "limit", "scrapeOptions"}
LONGEST_PROMPT = 10_000
LONGEST_DELAY = 60
WEBHOOK = {"url": "string", "headers": "texts", "metadata": "texts", "events": "strings"}
INTEGRATIONS = {"dify", "zapier", "n8n", "langchain", "llamaindex", "crewai", "make", "pipedream", "raycast"}
EVENTS = ["completed", "failed", "page", "started"]
SCHEME = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*://")
# A dot and two letters or digits that end the host or the path.
ENDING = re.compile(r"\.[^\W_][\w-]+(:\d+)?([/?#]|$)")
ZDR_2025 = (
    "Zero data retention is enabled for this team. If you're interested in ZDR, please contact support@firecrawl.com"
)
BAD_ENDING = "URL must have a valid top-level domain or be a valid path"


@dataclass
class Start:
    """A start request that was accepted."""

    urls: list[str]
    options: dict[str, Any]
    invalid: list[str] | None = None
    append_to: str | None = None
    max_concurrency: int | None = None
    crawl: dict[str, Any] = field(default_factory=dict)


def normal_url(given: Any) -> str:
    """The address that is scraped; a missing scheme is put in front."""
    text = str(given).strip()
    return text if not text or SCHEME.match(text) else f"http://{text}"


def url_issues(given: Any, path: list[Any]) -> list[Issue]:
    """What is wrong with an address."""
    if not isinstance(given, str):
        return [wrong_type(path, "string", type_name(given))]
    address = normal_url(given)
    try:
        parts = urllib.parse.urlsplit(address)
        well_formed = bool(parts.hostname) and not re.search(r"[\s<>]", address) and (parts.port or 1) > 0
    except ValueError:
        well_formed = False
        parts = urllib.parse.urlsplit("")
    issues: list[Issue] = []
    if not well_formed:
        issues.append({"validation": "url", "code": "invalid_string", "message": "Invalid url", "path": path})
    elif parts.scheme.lower() not in ("http", "https"):
        text = "URL uses unsupported protocol"
        issues.append({"validation": "regex", "code": "invalid_string", "message": text, "path": path})
    if not ENDING.search(address):
        issues.append(custom(path, BAD_ENDING))
    if issues and not (len(issues) == 1 and issues[0]["code"] == "custom"):
        issues.append(custom(path, "Invalid URL"))
    return issues


def common_issues(
    body: dict[str, Any], version: str, settings: FirecrawlSettings, events: list[str] = EVENTS
) -> list[Issue]:
    """What is wrong with the fields that all starts have."""
    issues = typed(body, COMMON, [])
    concurrency = body.get("maxConcurrency")
    if isinstance(concurrency, int | float) and concurrency <= 0:
        message = "Number must be greater than 0"
        issues.append(too_small(["maxConcurrency"], "number", 0, message, inclusive=False))
    if not isinstance(body.get("webhook", ""), str):
        issues += _webhook_issues(body["webhook"], version, events)
    named = body.get("integration", "n8n")
    if named not in INTEGRATIONS and (settings.old or not str(named).startswith("_")):
        issues.append(custom(["integration"], "Invalid enum value"))
    return issues


def _webhook_issues(webhook: Any, version: str, events: list[str]) -> list[Issue]:
    issues = strict(webhook, WEBHOOK, version, ["webhook"])
    if issues:
        return issues
    if "url" not in webhook:
        issues.append(wrong_type(["webhook", "url"], "string", "undefined"))
    for place, name in enumerate(webhook.get("events", [])):
        if name not in events:
            expected = " | ".join(f"'{event}'" for event in events)
            message = f"Invalid enum value. Expected {expected}, received '{name}'"
            issue = {"received": name, "code": "invalid_enum_value", "options": events}
            issues.append({**issue, "path": ["webhook", "events", place], "message": message})
    return issues


def prompt_issues(body: dict[str, Any]) -> list[Issue]:
    """What is wrong with a prompt."""
    prompt = body.get("prompt", "")
    if not isinstance(prompt, str):
        return [wrong_type(["prompt"], "string", type_name(prompt))]
    if len(prompt) > LONGEST_PROMPT:
        message = f"String must contain at most {LONGEST_PROMPT} character(s)"
        return [too_big(["prompt"], "string", LONGEST_PROMPT, message)]
    return []


def walk_issues(body: dict[str, Any], version: str, settings: FirecrawlSettings) -> list[Issue]:
    """What is wrong with the fields that say which pages of a site are meant."""
    issues = typed(body, WALK_OF[version], [])
    delay = body.get("delay")
    if isinstance(delay, int | float) and delay <= 0:
        issues.append(too_small(["delay"], "number", 0, "Number must be greater than 0", inclusive=False))
    elif version == "v2" and not settings.old:
        issues += number_issues(body, "delay", [], most=LONGEST_DELAY)
    if body.get("sitemap", "include") not in ("include", "skip", "only"):
        issues.append(custom(["sitemap"], "Invalid enum value"))
    return issues


def check_zdr(body: dict[str, Any], settings: FirecrawlSettings) -> None:
    """Refuse what only a team with a contract for it may ask for."""
    if body.get("zeroDataRetention") is True:
        text = ZDR_2025 if settings.old else "Zero data retention is not enabled for this team."
        raise Refused(400 if settings.old else 403, {"success": False, "error": text})


def _append_issues(body: dict[str, Any], settings: FirecrawlSettings) -> list[Issue]:
    wanted = body.get("appendToId")
    if wanted is None:
        return []
    try:
        uuid.UUID(str(wanted))
    except ValueError:
        issue = {"validation": "uuid", "code": "invalid_string", "message": "Invalid uuid"}
        return [{**issue, "path": ["appendToId"]}]
    # The text names v2 on v1, too (F27).
    return unknown_keys({"appendToId": wanted}, set(), "v2", []) if settings.old else []


def check_batch(body: dict[str, Any], version: str, settings: FirecrawlSettings) -> Start:
    """The urls and options of a batch scrape."""
    keys = page_kinds(version, settings)
    issues = unknown_keys(body, {*BATCH, *keys}, version, []) + typed(body, {"ignoreInvalidURLs": "boolean"}, [])
    urls = body.get("urls")
    invalid: list[str] = []
    good: list[str] = []
    explicit = body.get("ignoreInvalidURLs")
    ignore = explicit is True or (explicit is None and version == "v2" and settings.old)
    if not isinstance(urls, list):
        issues.append(wrong_type(["urls"], "array", type_name(urls) if "urls" in body else "undefined"))
        urls = []
    elif not urls and not settings.old:
        issues.append(too_small(["urls"], "array", 1, "Array must contain at least 1 element(s)"))
    for place, given in enumerate(urls):
        problems = url_issues(given, ["urls", place])
        if not problems:
            good.append(normal_url(given))
        elif ignore and isinstance(given, str):
            invalid.append(given)
        else:
            issues += problems
    options = {name: value for name, value in body.items() if name in keys}
    issues += _append_issues(body, settings) + common_issues(body, version, settings)
    issues += page_issues(options, version, settings, [])
    if issues:
        raise bad_request(issues, settings)
    check_zdr(body, settings)
    if urls and not good and not settings.old:
        raise Refused(400, {"success": False, "error": "No valid URLs provided"})
    told = invalid if explicit is True or (version == "v2" and explicit is not False) else None
    return Start(good, options, told, body.get("appendToId"), body.get("maxConcurrency"))


def check_scrape(body: dict[str, Any], version: str, settings: FirecrawlSettings) -> Start:
    """The address and options of one page."""
    keys = page_kinds(version, settings)
    issues = unknown_keys(body, {*keys, *SCRAPE}, version, [])
    if "url" in body:
        issues += url_issues(body["url"], ["url"])
    else:
        issues.append(wrong_type(["url"], "string", "undefined"))
    options = {name: value for name, value in body.items() if name in keys}
    issues += common_issues(body, version, settings) + page_issues(options, version, settings, [])
    if issues:
        raise bad_request(issues, settings)
    check_zdr(body, settings)
    return Start([normal_url(body["url"])], options)


def check_crawl(body: dict[str, Any], version: str, settings: FirecrawlSettings) -> Start:
    """The address and options of a crawl."""
    known = {*CRAWL, *WALK_OF[version], *(("prompt",) if version == "v2" else ())}
    issues = unknown_keys(body, known, version, []) + walk_issues(body, version, settings) + prompt_issues(body)
    issues += typed(body, {"limit": "number"}, [])
    given = body.get("url", "")
    if not given:
        issues.append(custom(["url"], BAD_ENDING))
    else:
        issues += url_issues(given, ["url"])
    options, wrong = page_part(body, version, settings)
    issues += wrong + common_issues(body, version, settings)
    depth, address = body.get("maxDepth"), normal_url(given)
    if isinstance(depth, int) and not issues and _depth(address) > depth:
        issues.append(custom(["url"], "URL depth exceeds the specified maxDepth"))
    if issues:
        raise bad_request(issues, settings)
    for pattern in [*(body.get("includePaths") or []), *(body.get("excludePaths") or [])]:
        try:
            re.compile(pattern)
        except re.error as error:
            text = f"Invalid regular expression: /{pattern}/: {error}"
            raise Refused(400, {"success": False, "error": text}) from None
    check_zdr(body, settings)
    return Start([address], options, None, None, body.get("maxConcurrency"), crawl=body)


def _depth(address: str) -> int:
    parts = [part for part in urllib.parse.urlsplit(address).path.split("/") if part]
    return len([part for part in parts if part not in ("index.html", "index.php")])
