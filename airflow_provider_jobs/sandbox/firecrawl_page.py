"""What Firecrawl says about the options of a page."""

from __future__ import annotations

from typing import Any

from airflow_provider_jobs.sandbox.firecrawl_issues import (
    Issue,
    custom,
    kind_issues,
    number_issues,
    strict,
    type_name,
    typed,
    unknown_keys,
    wrong_type,
)
from airflow_provider_jobs.sandbox.settings import FirecrawlSettings

_PAGE = {
    "formats": "array", "headers": "texts", "includeTags": "strings", "excludeTags": "strings",
    "onlyMainContent": "boolean", "timeout": "integer", "waitFor": "integer", "mobile": "boolean",
    "actions": "array", "location": "object", "skipTlsVerification": "boolean", "removeBase64Images": "boolean",
    "fastMode": "boolean", "useMock": "string", "blockAds": "boolean", "proxy": "string", "maxAge": "integer",
    "storeInCache": "boolean",
}  # fmt: skip
_PAGE_2026 = {
    "minAge": "integer",
    "onlyCleanContent": "boolean",
    "threatProtection": "object",
    "auditMetadata": "object",
}
PAGE_V1 = {
    **_PAGE, "extract": "object", "jsonOptions": "object", "changeTrackingOptions": "object", "parsePDF": "boolean",
    "agent": "object", "geolocation": "object",
}  # fmt: skip
PAGE_V2 = {**_PAGE, "parsers": "array"}
PAGE_V2_2026 = {"lockdown": "boolean", "safeMode": "boolean", "profile": "object"}
MOST_ACTIONS = 50
LONGEST_WAIT = 60_000
MOST_PAGES = 10_000
NEEDED = {"click": "selector", "write": "text", "press": "key", "executeJavascript": "script"}
ACTIONS = {*NEEDED, "wait", "screenshot", "scroll", "scrape", "pdf"}
CHANGES = {"prompt": "string", "schema": "object", "modes": "strings", "tag": "any"}
JSON_V1 = {
    "schema": "any", "systemPrompt": "string", "prompt": "string", "mode": "string", "temperature": "number",
    "agent": "object", "checkPromptInjection": "boolean",
}  # fmt: skip
JSON_V2 = {"type": "string", "schema": "any", "prompt": "string", "checkPromptInjection": "boolean"}
PDF = {
    "type": "string", "mode": "string", "maxPages": "integer", "pages": "boolean", "blocks": "boolean",
    "pageMarkdown": "boolean", "pageMarkers": "boolean",
}  # fmt: skip
REDACT = {"mode": "string", "entities": "strings", "replaceStyle": "string"}
FORMATS_V1 = [
    "markdown", "html", "rawHtml", "links", "screenshot", "screenshot@fullPage", "extract", "json", "summary",
    "changeTracking",
]  # fmt: skip
FORMATS_V2 = {
    "markdown", "html", "rawHtml", "links", "screenshot", "json", "summary", "changeTracking", "images",
    "branding", "audio", "video", "question", "highlights", "attributes",
}  # fmt: skip


def page_kinds(version: str, settings: FirecrawlSettings) -> dict[str, str]:
    """The page options that a version knows, and their types."""
    known = PAGE_V1 if version == "v1" else PAGE_V2
    if settings.old:
        return known
    return {**known, **_PAGE_2026, **({} if version == "v1" else {**PAGE_V2_2026, "redactPII": "any"})}


def page_part(body: dict[str, Any], version: str, settings: FirecrawlSettings) -> tuple[dict[str, Any], list[Issue]]:
    """The page options that stand in a body of their own, and what is wrong with them."""
    if "scrapeOptions" not in body:
        return {}, []
    options = body["scrapeOptions"]
    path = ["scrapeOptions"]
    if not isinstance(options, dict):
        return {}, [wrong_type(path, "object", type_name(options))]
    issues = unknown_keys(options, page_kinds(version, settings), version, path)
    return options, issues + page_issues(options, version, settings, path)


def page_issues(options: dict[str, Any], version: str, settings: FirecrawlSettings, path: list[Any]) -> list[Issue]:
    """What is wrong with the options of a page."""
    issues = typed(options, page_kinds(version, settings), path)
    if issues:
        return issues
    wait, timeout = options.get("waitFor", 0), options.get("timeout")
    if timeout is not None and wait > timeout / 2:
        issues.append(custom([*path, "waitFor"], "waitFor must not exceed half of timeout"))
    issues += number_issues(options, "waitFor", path, 0, LONGEST_WAIT) + number_issues(options, "timeout", path, 1)
    issues += number_issues(options, "maxAge", path, 0) + number_issues(options, "minAge", path, 0)
    issues += _action_issues(options, version, path)
    if "profile" in options:
        issues += kind_issues(options["profile"].get("name"), "string", [*path, "profile", "name"])
    part = _v1_issues if version == "v1" else _v2_issues
    return issues + part(options, path)


def _action_issues(options: dict[str, Any], version: str, path: list[Any]) -> list[Issue]:
    actions = options.get("actions", [])
    where = [*path, "actions"]
    if version == "v1" and len(actions) > MOST_ACTIONS:
        return [custom(where, f"Number of actions cannot exceed {MOST_ACTIONS}")]
    issues: list[Issue] = []
    for place, action in enumerate(actions):
        name = action.get("type") if isinstance(action, dict) else None
        if name not in ACTIONS or (name in NEEDED and not isinstance(action.get(NEEDED[name]), str)):
            issues.append(_no_member([*where, place]))
        elif name == "wait" and ("milliseconds" in action) == ("selector" in action):
            text = "Either 'milliseconds' or 'selector' must be provided, but not both."
            issues.append(custom([*where, place], text))
    return issues


def _no_member(path: list[Any]) -> Issue:
    return {"code": "invalid_union", "unionErrors": [], "path": path, "message": "Invalid input"}


def _v1_issues(options: dict[str, Any], path: list[Any]) -> list[Issue]:
    issues: list[Issue] = []
    formats = options.get("formats", ["markdown"])
    expected = " | ".join(f"'{name}'" for name in FORMATS_V1)
    for place, item in enumerate(formats):
        where = [*path, "formats", place]
        if not isinstance(item, str):
            issues.append(wrong_type(where, expected, type_name(item)))
        elif item not in FORMATS_V1:
            message = f"Invalid enum value. Expected {expected}, received '{item}'"
            issue = {"received": item, "code": "invalid_enum_value", "options": FORMATS_V1}
            issues.append({**issue, "path": where, "message": message})
    for name, known in (("jsonOptions", JSON_V1), ("extract", JSON_V1), ("changeTrackingOptions", CHANGES)):
        if name in options:
            issues += strict(options[name], known, "v1", [*path, name])
    if ("json" in formats) != ("jsonOptions" in options):
        text = "When 'json' format is specified, 'jsonOptions' must be provided, and vice versa"
        issues.append(custom(path, text))
    return issues + _tracking_issues(formats, path)


def _tracking_issues(names: list[Any], path: list[Any]) -> list[Issue]:
    if "changeTracking" in names and "markdown" not in names:
        text = "The changeTracking format requires the markdown format to be specified as well"
        return [custom([*path, "formats"], text)]
    return []


def _v2_issues(options: dict[str, Any], path: list[Any]) -> list[Issue]:
    issues: list[Issue] = []
    formats = options.get("formats", ["markdown"])
    names = [item.get("type") if isinstance(item, dict) else item for item in formats]
    for place, (item, name) in enumerate(zip(formats, names, strict=True)):
        where = [*path, "formats", place]
        if not isinstance(name, str) or name not in FORMATS_V2:
            issues.append(_no_member(where))
        elif isinstance(item, dict) and name in ("json", "changeTracking"):
            issues += strict(item, JSON_V2 if name == "json" else {"type": "string", **CHANGES}, "v2", where)
    for place, parser in enumerate(options.get("parsers", [])):
        where = [*path, "parsers", place]
        if isinstance(parser, dict) and parser.get("type") == "pdf":
            issues += strict(parser, PDF, "v2", where) + number_issues(parser, "maxPages", where, 1, MOST_PAGES)
        elif parser != "pdf":
            issues.append(_no_member(where))
    if not isinstance(options.get("redactPII", True), bool):
        issues += strict(options["redactPII"], REDACT, "v2", [*path, "redactPII"])
    return issues + _tracking_issues(names, path)
