"""What Firecrawl says about the body of a start request before it starts anything."""

from __future__ import annotations

import re
import urllib.parse
import uuid
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_jobs.sandbox.settings import FirecrawlSettings

PAGE_V1 = {
    "formats", "headers", "includeTags", "excludeTags", "onlyMainContent", "timeout", "waitFor", "extract",
    "jsonOptions", "changeTrackingOptions", "mobile", "parsePDF", "actions", "location", "skipTlsVerification",
    "removeBase64Images", "fastMode", "blockAds", "proxy", "maxAge", "storeInCache", "agent", "useMock", "geolocation",
}  # fmt: skip
PAGE_V2 = {
    "formats", "headers", "includeTags", "excludeTags", "onlyMainContent", "timeout", "waitFor", "mobile",
    "parsers", "actions", "location", "skipTlsVerification", "removeBase64Images", "fastMode", "blockAds",
    "proxy", "maxAge", "storeInCache", "useMock",
}  # fmt: skip
PAGE_2026 = {"minAge", "onlyCleanContent", "threatProtection", "auditMetadata"}
PAGE_V2_2026 = {"lockdown", "redactPII", "profile", "safeMode"}
COMMON = {"webhook", "maxConcurrency", "zeroDataRetention", "integration", "origin"}
SCRAPE = {"url", "origin", "integration", "zeroDataRetention"}
BATCH = COMMON | {"urls", "ignoreInvalidURLs", "appendToId"}
CRAWL = COMMON | {
    "url", "limit", "maxDiscoveryDepth", "includePaths", "excludePaths", "regexOnFullURL", "scrapeOptions",
    "ignoreQueryParameters", "allowExternalLinks", "allowSubdomains", "crawlEntireDomain", "delay",
    "deduplicateSimilarURLs", "ignoreRobotsTxt", "robotsUserAgent",
}  # fmt: skip
CRAWL_V1 = {"maxDepth", "allowBackwardLinks", "ignoreSitemap"}
CRAWL_V2 = {"sitemap", "prompt"}
TYPES: dict[str, str] = {
    **dict.fromkeys(
        ("onlyMainContent", "onlyCleanContent", "mobile", "parsePDF", "skipTlsVerification", "removeBase64Images",
         "fastMode", "blockAds", "storeInCache", "lockdown", "safeMode", "ignoreInvalidURLs", "zeroDataRetention",
         "regexOnFullURL", "ignoreQueryParameters", "allowExternalLinks", "allowSubdomains", "crawlEntireDomain",
         "deduplicateSimilarURLs", "ignoreRobotsTxt", "allowBackwardLinks", "ignoreSitemap"),
        "boolean",
    ),
    **dict.fromkeys(("timeout", "waitFor", "maxAge", "minAge", "maxConcurrency", "limit", "maxDepth",
                     "maxDiscoveryDepth", "delay"), "number"),
    **dict.fromkeys(("proxy", "useMock", "integration", "origin", "sitemap", "prompt", "robotsUserAgent"), "string"),
    **dict.fromkeys(("includeTags", "excludeTags", "actions", "parsers", "includePaths", "excludePaths"), "array"),
    **dict.fromkeys(("headers", "jsonOptions", "extract", "changeTrackingOptions", "location", "geolocation", "agent",
                     "profile", "threatProtection", "auditMetadata"), "object"),
}  # fmt: skip
EXTRACTION = {"schema", "systemPrompt", "prompt", "mode", "temperature", "agent", "checkPromptInjection"}
TRACKING = {"schema", "prompt", "modes", "tag"}
INNER_KEYS = {"jsonOptions": EXTRACTION, "extract": EXTRACTION, "changeTrackingOptions": TRACKING}
FORMAT_KEYS = {"json": {"schema", "prompt", "checkPromptInjection"}, "changeTracking": TRACKING}
WEBHOOK = {"url", "headers", "metadata", "events"}
MOST_ACTIONS = 50
LONGEST_DELAY = 60
LONGEST_PROMPT = 10_000
FORMATS_V1 = [
    "markdown", "html", "rawHtml", "links", "screenshot", "screenshot@fullPage", "extract", "json", "summary",
    "changeTracking",
]  # fmt: skip
FORMATS_V2 = {
    "markdown", "html", "rawHtml", "links", "screenshot", "json", "summary", "changeTracking", "images",
    "branding", "audio", "video", "question", "highlights", "attributes",
}  # fmt: skip
INTEGRATIONS = {"dify", "zapier", "n8n", "langchain", "llamaindex", "crewai", "make", "pipedream", "raycast"}
EVENTS = ["completed", "failed", "page", "started"]
SCHEME = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*://")
# A dot and two letters or digits that end the host or the path.
ENDING = re.compile(r"\.[^\W_][\w-]+(:\d+)?([/?#]|$)")
ZDR_2025 = (
    "Zero data retention is enabled for this team. If you're interested in ZDR, please contact support@firecrawl.com"
)
BAD_ENDING = "URL must have a valid top-level domain or be a valid path"

Issue = dict[str, Any]


class Refused(Exception):
    """The request is answered with an error."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(str(body))
        self.status, self.body = status, body


@dataclass
class Start:
    """A start request that was accepted."""

    urls: list[str]
    options: dict[str, Any]
    invalid: list[str] | None = None
    append_to: str | None = None
    max_concurrency: int | None = None
    crawl: dict[str, Any] = field(default_factory=dict)


def bad_request(issues: list[Issue], settings: FirecrawlSettings) -> Refused:
    """The 400 of a body that does not fit."""
    error = "Bad Request"
    if not settings.old:
        for issue in issues:
            if issue["code"] in ("custom", "unrecognized_keys"):
                error = issue["message"]
                break
    return Refused(400, {"success": False, "code": "BAD_REQUEST", "error": error, "details": issues})


def type_name(value: Any) -> str:
    """The name of a type, as the texts of the service put it."""
    if value is None:
        return "null"
    names = {bool: "boolean", str: "string", int: "number", float: "number", list: "array", dict: "object"}
    return names.get(type(value), "undefined")


def wrong_type(path: list[Any], expected: str, received: str) -> Issue:
    """A value that is of another type; `undefined` is received where there is none."""
    message = "Required" if received == "undefined" else f"Expected {expected}, received {received}"
    return {"code": "invalid_type", "expected": expected, "received": received, "path": path, "message": message}


def too_big(path: list[Any], kind: str, most: int, message: str) -> Issue:
    """A value above its maximum."""
    bounds = {"maximum": most, "type": kind, "inclusive": True, "exact": False}
    return {"code": "too_big", **bounds, "message": message, "path": path}


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
        issues.append({"code": "custom", "message": BAD_ENDING, "path": path})
    if issues and not (len(issues) == 1 and issues[0]["code"] == "custom"):
        issues.append({"code": "custom", "message": "Invalid URL", "path": path})
    return issues


def unknown_keys(body: dict[str, Any], known: set[str], version: str, path: list[Any]) -> list[Issue]:
    """What is wrong with the names in a body."""
    unknown = [name for name in body if name not in known]
    if not unknown:
        return []
    message = f"Unrecognized key in body -- please review the {version} API documentation for request body changes"
    return [{"code": "unrecognized_keys", "keys": unknown, "path": path, "message": message}]


def page_part(body: dict[str, Any], version: str, settings: FirecrawlSettings) -> tuple[dict[str, Any], list[Issue]]:
    """The page options that stand in a body of their own, and what is wrong with them."""
    if "scrapeOptions" not in body:
        return {}, []
    options = body["scrapeOptions"]
    path = ["scrapeOptions"]
    if not isinstance(options, dict):
        return {}, [wrong_type(path, "object", type_name(options))]
    issues = unknown_keys(options, page_keys(version, settings), version, path)
    return options, issues + page_issues(options, version, path)


def _format_issues(options: dict[str, Any], version: str, path: list[Any]) -> list[Issue]:
    formats = options.get("formats", [])
    if not isinstance(formats, list):
        return [wrong_type([*path, "formats"], "array", type_name(formats))]
    issues: list[Issue] = []
    for place, item in enumerate(formats):
        where = [*path, "formats", place]
        if version == "v1":
            expected = " | ".join(f"'{name}'" for name in FORMATS_V1)
            if not isinstance(item, str):
                issues.append(wrong_type(where, expected, type_name(item)))
            elif item not in FORMATS_V1:
                message = f"Invalid enum value. Expected {expected}, received '{item}'"
                issue = {"received": item, "code": "invalid_enum_value", "options": FORMATS_V1}
                issues.append({**issue, "path": where, "message": message})
        else:
            name = item.get("type") if isinstance(item, dict) else item
            more = set(item) - {"type"} if isinstance(item, dict) else set()
            if name not in FORMATS_V2 or more - FORMAT_KEYS.get(name, more):
                issues.append({"code": "invalid_union", "unionErrors": [], "path": where, "message": "Invalid input"})
    return issues


def _type_issues(body: dict[str, Any], path: list[Any]) -> list[Issue]:
    issues: list[Issue] = []
    for name, value in body.items():
        expected = TYPES.get(name)
        if expected is not None and type_name(value) != expected:
            issues.append(wrong_type([*path, name], expected, type_name(value)))
    return issues


def _text_issues(values: Any, path: list[Any]) -> list[Issue]:
    """What is wrong with a list or an object of texts."""
    pairs = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    return [wrong_type([*path, at], "string", type_name(v)) for at, v in pairs if not isinstance(v, str)]


def _number(body: dict[str, Any], name: str) -> float | None:
    value = body.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _limit_issues(options: dict[str, Any], version: str, path: list[Any]) -> list[Issue]:
    issues: list[Issue] = []
    wait, timeout, actions = _number(options, "waitFor"), _number(options, "timeout"), options.get("actions")
    if wait is not None and timeout is not None and wait > timeout / 2:
        message = "waitFor must not exceed half of timeout"
        issues.append({"code": "custom", "message": message, "path": [*path, "waitFor"]})
    if wait is not None and wait > 60_000:
        issues.append(too_big([*path, "waitFor"], "number", 60_000, "Number must be less than or equal to 60000"))
    for name, least in (("timeout", 1), ("waitFor", 0), ("maxAge", 0), ("minAge", 0)):
        if (least if (value := _number(options, name)) is None else value) < least:
            issues.append(_too_small([*path, name], least))
    if version == "v1" and isinstance(actions, list) and len(actions) > MOST_ACTIONS:
        message = f"Number of actions cannot exceed {MOST_ACTIONS}"
        issues.append({"code": "custom", "message": message, "path": [*path, "actions"]})
    return issues


def _too_small(path: list[Any], least: float, *, inclusive: bool = True) -> Issue:
    bounds = {"minimum": least, "type": "number", "inclusive": inclusive, "exact": False}
    words = "greater than or equal to" if inclusive else "greater than"
    return {"code": "too_small", **bounds, "message": f"Number must be {words} {least}", "path": path}


def page_issues(options: dict[str, Any], version: str, path: list[Any]) -> list[Issue]:
    """What is wrong with the options of a page."""
    issues = _format_issues(options, version, path)
    issues += _limit_issues(options, version, path) + _type_issues(options, path)
    for name in ("headers", "includeTags", "excludeTags"):
        issues += _text_issues(options.get(name), [*path, name])
    for name, keys in INNER_KEYS.items():
        if isinstance(options.get(name), dict):
            issues += unknown_keys(options[name], keys, version, [*path, name])
    formats = options.get("formats", ["markdown"])
    words = [item.get("type") if isinstance(item, dict) else item for item in formats] if not issues else []
    if "changeTracking" in words and "markdown" not in words:
        message = "The changeTracking format requires the markdown format to be specified as well"
        issues.append({"code": "custom", "message": message, "path": [*path, "formats"]})
    if not issues and version == "v1" and ("json" in words) != ("jsonOptions" in options):
        message = "When 'json' format is specified, corresponding options must be provided, and vice versa"
        issues.append({"code": "custom", "message": message, "path": path})
    return issues


def _webhook_issues(webhook: Any, version: str, events: list[str]) -> list[Issue]:
    if isinstance(webhook, str):
        return []
    if not isinstance(webhook, dict):
        return [wrong_type(["webhook"], "object", type_name(webhook))]
    issues = unknown_keys(webhook, WEBHOOK, version, ["webhook"])
    if not isinstance(webhook.get("url"), str):
        received = type_name(webhook["url"]) if "url" in webhook else "undefined"
        issues.append(wrong_type(["webhook", "url"], "string", received))
    for name in ("headers", "metadata"):
        issues += _text_issues(webhook.get(name), ["webhook", name])
    for place, name in enumerate(webhook.get("events") or []):
        if name not in events:
            expected = " | ".join(f"'{event}'" for event in events)
            message = f"Invalid enum value. Expected {expected}, received '{name}'"
            issue = {"received": name, "code": "invalid_enum_value", "options": events}
            issues.append({**issue, "path": ["webhook", "events", place], "message": message})
    return issues


def common_issues(body: dict[str, Any], settings: FirecrawlSettings, events: list[str] = EVENTS) -> list[Issue]:
    """What is wrong with the fields that all starts have."""
    issues: list[Issue] = []
    concurrency = body.get("maxConcurrency")
    if isinstance(concurrency, int) and concurrency <= 0:
        issues.append(_too_small(["maxConcurrency"], 0, inclusive=False))
    if "webhook" in body:
        issues += _webhook_issues(body["webhook"], "v2", events)
    named = body.get("integration")
    if named is not None and named not in INTEGRATIONS and (settings.old or not str(named).startswith("_")):
        issues.append({"code": "custom", "message": "Invalid enum value", "path": ["integration"]})
    return issues


def check_zdr(body: dict[str, Any], settings: FirecrawlSettings) -> None:
    """Refuse what only a team with a contract for it may ask for."""
    if body.get("zeroDataRetention") is True:
        text = ZDR_2025 if settings.old else "Zero data retention is not enabled for this team."
        raise Refused(400 if settings.old else 403, {"success": False, "error": text})


def page_keys(version: str, settings: FirecrawlSettings) -> set[str]:
    """The page options that a version knows."""
    known = PAGE_V1 if version == "v1" else PAGE_V2
    if settings.old:
        return known
    return known | PAGE_2026 | (PAGE_V2_2026 if version == "v2" else set())


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
    keys = page_keys(version, settings)
    issues = unknown_keys(body, BATCH | keys, version, [])
    urls = body.get("urls")
    invalid: list[str] = []
    good: list[str] = []
    explicit = body.get("ignoreInvalidURLs")
    ignore = explicit is True or (explicit is None and version == "v2" and settings.old)
    if not isinstance(urls, list):
        issues.append(wrong_type(["urls"], "array", type_name(urls) if "urls" in body else "undefined"))
        urls = []
    elif not urls and not settings.old:
        bounds = {"minimum": 1, "type": "array", "inclusive": True, "exact": False}
        message = "Array must contain at least 1 element(s)"
        issues.append({"code": "too_small", **bounds, "message": message, "path": ["urls"]})
    for place, given in enumerate(urls):
        problems = url_issues(given, ["urls", place])
        if not problems:
            good.append(normal_url(given))
        elif ignore and isinstance(given, str):
            invalid.append(given)
        else:
            issues += problems
    options = {name: value for name, value in body.items() if name in keys}
    issues += _append_issues(body, settings) + common_issues(body, settings)
    issues += page_issues(options, version, []) + _type_issues(_without(body, keys), [])
    if issues:
        raise bad_request(issues, settings)
    check_zdr(body, settings)
    if urls and not good and not settings.old:
        raise Refused(400, {"success": False, "error": "No valid URLs provided"})
    told = invalid if explicit is True or (version == "v2" and explicit is not False) else None
    return Start(good, options, told, body.get("appendToId"), body.get("maxConcurrency"))


def check_scrape(body: dict[str, Any], version: str, settings: FirecrawlSettings) -> Start:
    """The address and options of one page."""
    keys = page_keys(version, settings)
    issues = unknown_keys(body, keys | SCRAPE, version, [])
    if "url" in body:
        issues += url_issues(body["url"], ["url"])
    else:
        issues.append(wrong_type(["url"], "string", "undefined"))
    options = {name: value for name, value in body.items() if name in keys}
    issues += common_issues(body, settings) + page_issues(options, version, [])
    issues += _type_issues(_without(body, keys), [])
    if issues:
        raise bad_request(issues, settings)
    check_zdr(body, settings)
    return Start([normal_url(body["url"])], options)


def _without(body: dict[str, Any], keys: set[str]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in keys}


def _walk_issues(body: dict[str, Any], version: str, settings: FirecrawlSettings) -> list[Issue]:
    issues = _type_issues(body, [])
    for name in ("includePaths", "excludePaths"):
        issues += _text_issues(body.get(name), [name])
    delay = _number(body, "delay")
    if delay is not None and delay <= 0:
        issues.append(_too_small(["delay"], 0, inclusive=False))
    if delay is not None and delay > LONGEST_DELAY and version == "v2" and not settings.old:
        issues.append(too_big(["delay"], "number", LONGEST_DELAY, "The delay cannot exceed 60 seconds."))
    if isinstance(body.get("prompt"), str) and len(body["prompt"]) > LONGEST_PROMPT:
        message = f"String must contain at most {LONGEST_PROMPT} character(s)"
        issues.append(too_big(["prompt"], "string", LONGEST_PROMPT, message))
    return issues


def check_crawl(body: dict[str, Any], version: str, settings: FirecrawlSettings) -> Start:
    """The address and options of a crawl."""
    known = CRAWL | (CRAWL_V1 if version == "v1" else CRAWL_V2)
    issues = unknown_keys(body, known, version, [])
    given = body.get("url", "")
    if not given:
        issues.append({"code": "custom", "message": BAD_ENDING, "path": ["url"]})
    else:
        issues += url_issues(given, ["url"])
    options, wrong = page_part(body, version, settings)
    issues += wrong + common_issues(body, settings) + _walk_issues(body, version, settings)
    depth, address = body.get("maxDepth"), normal_url(given)
    if isinstance(depth, int) and not issues and _depth(address) > depth:
        issues.append({"code": "custom", "message": "URL depth exceeds the specified maxDepth", "path": ["url"]})
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
