"""Options that Firecrawl takes and options that it refuses, for the check and for the sandbox."""

from __future__ import annotations

from typing import Any, NamedTuple

URLS = ["http://127.0.0.1:9/page1.html"]
NEEDED: dict[str, dict[str, Any]] = {
    "batch_scrape": {"urls": URLS},
    "crawl": {"url": URLS[0], "limit": 1},
    "scrape": {"url": URLS[0]},
    "map": {"url": URLS[0]},
    "search": {"query": "bees"},
    "agent": {"prompt": "who?"},
    "extract": {"urls": URLS},
}
"""What the body of each operation needs beside its options."""
ROUTES = {"batch_scrape": "/batch/scrape"}
JSON = {"type": "json", "prompt": "the price", "schema": {"type": "object"}}
UUID = "11111111-2222-4333-8444-555555555555"

PAGE: dict[str, Any] = {
    "formats": ["markdown", "html", "rawHtml", "links", "screenshot", "summary"],
    "onlyMainContent": False,
    "includeTags": ["article"],
    "excludeTags": ["nav"],
    "headers": {"Accept-Language": "de"},
    "waitFor": 1000,
    "timeout": 2000,
    "mobile": True,
    "skipTlsVerification": False,
    "removeBase64Images": False,
    "blockAds": False,
    "fastMode": True,
    "proxy": "auto",
    "maxAge": 0,
    "storeInCache": False,
    "location": {"country": "DE", "languages": ["de-DE"]},
    "useMock": "none",
    "actions": [
        {"type": "wait", "milliseconds": 5},
        {"type": "wait", "selector": "#a"},
        {"type": "click", "selector": "#a", "all": True},
        {"type": "screenshot", "fullPage": True, "quality": 80},
        {"type": "write", "text": "a"},
        {"type": "press", "key": "Enter"},
        {"type": "scroll", "direction": "up"},
        {"type": "scrape"},
        {"type": "executeJavascript", "script": "1"},
        {"type": "pdf", "landscape": True, "format": "A4"},
    ],
}
PAGE_V1 = {
    **PAGE,
    "formats": ["markdown", "json", "changeTracking", "screenshot@fullPage"],
    "jsonOptions": {"prompt": "the price", "systemPrompt": "be brief", "schema": {"type": "object"}},
    "changeTrackingOptions": {"modes": ["git-diff"], "tag": None},
    "parsePDF": False,
    "geolocation": {"country": "DE"},
}
PAGE_V2 = {
    **PAGE,
    "formats": [
        "markdown",
        JSON,
        {"type": "screenshot", "fullPage": True, "quality": 80, "viewport": {"width": 800, "height": 600}},
        {"type": "changeTracking", "modes": ["json"], "tag": "a"},
        "images",
        "branding",
        {"type": "question", "question": "why?"},
    ],
    "parsers": ["pdf", {"type": "pdf", "mode": "fast", "maxPages": 10_000}],
    "minAge": 1,
    "lockdown": False,
    "redactPII": {"mode": "fast"},
    "profile": {"name": "mine", "saveChanges": False},
}
JOB = {
    "webhook": {
        "url": "https://example.com/hook",
        "headers": {"X-A": "b"},
        "metadata": {"dag": "a"},
        "events": ["started", "page", "completed", "failed"],
    },
    "maxConcurrency": 1,
    "zeroDataRetention": False,
    "integration": "n8n",
    "origin": "mine",
}
WALK = {
    "includePaths": ["^/docs"],
    "excludePaths": ["[0-9]"],
    "maxDiscoveryDepth": 2,
    "crawlEntireDomain": True,
    "allowExternalLinks": False,
    "allowSubdomains": True,
    "ignoreQueryParameters": True,
    "regexOnFullURL": True,
    "deduplicateSimilarURLs": False,
    "delay": 0.5,
}


class Taken(NamedTuple):
    """Options that the service takes."""

    operation: str
    version: str
    options: dict[str, Any]


class Refused(NamedTuple):
    """Options that the service refuses; `text` is a part of what the check says."""

    operation: str
    version: str
    options: dict[str, Any]
    text: str


TAKEN = [
    Taken("batch_scrape", "v1", {**PAGE_V1, **JOB, "ignoreInvalidURLs": True}),
    Taken("batch_scrape", "v2", {**PAGE_V2, **JOB, "ignoreInvalidURLs": True}),
    Taken("batch_scrape", "v1", {"webhook": "https://example.com/hook", "waitFor": 60_000, "integration": "_airflow"}),
    Taken("batch_scrape", "v1", {"formats": ["extract"], "extract": {"prompt": "the price"}}),
    Taken("batch_scrape", "v1", {"actions": [{"type": "press", "key": "a"}] * 50}),
    Taken("batch_scrape", "v2", {"formats": [], "waitFor": 0.0, "timeout": 1e4, "redactPII": True}),
    Taken("scrape", "v1", {**PAGE_V1, "agent": {"model": "fire-1", "prompt": "click"}, "origin": "mine"}),
    Taken("scrape", "v2", {**PAGE_V2, "zeroDataRetention": False}),
    Taken("crawl", "v1", {**WALK, **JOB, "maxDepth": 9, "ignoreSitemap": True, "allowBackwardLinks": True}),
    Taken("crawl", "v1", {"scrapeOptions": PAGE_V1}),
    Taken("crawl", "v2", {**WALK, **JOB, "sitemap": "skip", "ignoreRobotsTxt": False}),
    Taken("crawl", "v2", {"scrapeOptions": PAGE_V2, "prompt": "x" * 10_000}),
    Taken("map", "v1", {"search": "a", "limit": 30_000, "ignoreSitemap": True, "sitemapOnly": False, "timeout": 5000}),
    Taken("map", "v2", {"search": "a", "limit": 100_000, "sitemap": "only", "ignoreQueryParameters": True}),
    Taken("map", "v2", {"includeSubdomains": False, "location": {"country": "DE"}, "origin": "mine"}),
    Taken("search", "v1", {"limit": 100, "tbs": "qdr:d", "filter": "a", "lang": "de", "country": "de"}),
    Taken("search", "v1", {"scrapeOptions": {"formats": ["markdown"]}, "location": "Berlin", "timeout": 5000}),
    Taken("search", "v2", {"sources": ["web", "news"], "categories": ["github"], "limit": 1}),
    Taken("search", "v2", {"sources": [{"type": "web"}], "scrapeOptions": {"formats": [JSON]}}),
    Taken("search", "v2", {"includeDomains": ["example.com"], "ignoreInvalidURLs": True}),
    Taken("agent", "v2", {"model": "spark-2", "strictConstrainToURLs": True, "threadId": UUID, "effort": "low"}),
    Taken("agent", "v2", {"webhook": {"url": "https://example.com/", "events": ["action", "cancelled"]}}),
    Taken("extract", "v1", {"systemPrompt": "be brief", "enableWebSearch": True, "showSources": True, "timeout": 5000}),
    Taken("extract", "v1", {"scrapeOptions": {"formats": ["markdown"]}, "agent": {"model": "fire-1"}}),
    Taken("extract", "v2", {"scrapeOptions": {"waitFor": 5}, "ignoreInvalidURLs": True, "ignoreSitemap": True}),
]

REFUSED = [
    # Names, at every depth, with the version and the nearest right one.
    Refused("batch_scrape", "v1", {"format": ["markdown"]}, "no option 'format' in v1; did you mean 'formats'?"),
    Refused("batch_scrape", "v1", {"only_main_content": True}, "did you mean 'onlyMainContent'?"),
    Refused("batch_scrape", "v2", {"parsePDF": True}, "'parsePDF' in v2; it works in v1; did you mean 'parsers'?"),
    Refused("batch_scrape", "v1", {"parsers": ["pdf"]}, "'parsers' in v1; it works in v2; did you mean 'parsePDF'?"),
    Refused("batch_scrape", "v1", {"zzz": 1}, "no option 'zzz' in v1 ("),
    Refused("batch_scrape", "v1", {"limit": 5}, "no option 'limit' in v1"),
    Refused(
        "batch_scrape",
        "v2",
        {"jsonOptions": {"prompt": "a"}},
        "'jsonOptions' in v2; it works in v1; write {'type': 'json', 'prompt': …, 'schema': …} under 'formats' instead",
    ),
    Refused("batch_scrape", "v2", {"extract": {}}, "it works in v1; write {'type': 'json'"),
    Refused("batch_scrape", "v2", {"changeTrackingOptions": {}}, "it works in v1; write {'type': 'changeTracking'"),
    Refused("batch_scrape", "v2", {"geolocation": {"country": "DE"}}, "it works in v1; did you mean 'location'?"),
    Refused(
        "batch_scrape",
        "v2",
        {"formats": ["markdown", {"type": "json", "promt": "a"}]},
        "no option 'formats[1].promt' in v2; did you mean 'formats[1].prompt'?",
    ),
    Refused("batch_scrape", "v2", {"formats": [{"type": "json", "zzz": 1}]}, "no option 'formats[0].zzz' in v2 ("),
    Refused("batch_scrape", "v2", {"parsers": [{"type": "pdf", "maxPage": 1}]}, "mean 'parsers[0].maxPages'?"),
    Refused("batch_scrape", "v1", {"webhook": {"url": "https://a.test/", "event": []}}, "mean 'webhook.events'?"),
    Refused("batch_scrape", "v2", {"redactPII": {"modes": "fast"}}, "did you mean 'redactPII.mode'?"),
    Refused(
        "batch_scrape",
        "v1",
        {"formats": ["json"], "jsonOptions": {"prompts": "a"}},
        "no option 'jsonOptions.prompts' in v1; did you mean 'jsonOptions.prompt'?",
    ),
    Refused("crawl", "v1", {"scrapeOptions": {"onlymaincontent": True}}, "mean 'scrapeOptions.onlyMainContent'?"),
    Refused(
        "crawl",
        "v2",
        {"scrapeOptions": {"parsePDF": True}},
        "no option 'scrapeOptions.parsePDF' in v2; it works in v1; did you mean 'parsers'?",
    ),
    Refused("crawl", "v1", {"formats": ["markdown"]}, "did you mean 'scrapeOptions.formats'?"),
    Refused("crawl", "v2", {"maxDepth": 2}, "'maxDepth' in v2; it works in v1; did you mean 'maxDiscoveryDepth'?"),
    Refused("crawl", "v2", {"ignoreSitemap": True}, "it works in v1; did you mean 'sitemap'? 'skip' stands for True"),
    Refused("crawl", "v2", {"allowBackwardLinks": True}, "it works in v1; did you mean 'crawlEntireDomain'?"),
    Refused("crawl", "v1", {"sitemap": "skip"}, "it works in v2; did you mean 'ignoreSitemap'?"),
    Refused("crawl", "v1", {"prompt": "blogs"}, "no option 'prompt' in v1; it works in v2"),
    Refused("map", "v2", {"sitemapOnly": True}, "it works in v1; did you mean 'sitemap'? 'only' stands for True"),
    Refused("map", "v2", {"formats": ["markdown"]}, "no option 'formats' in v2"),
    Refused("search", "v1", {"sources": ["web"]}, "no option 'sources' in v1; it works in v2"),
    Refused("search", "v2", {"scrapeOptions": {"jsonOptions": {}}}, "'scrapeOptions.jsonOptions' in v2; it works in"),
    Refused("agent", "v2", {"modell": "spark-2"}, "no option 'modell' in v2; did you mean 'model'?"),
    Refused("extract", "v1", {"systemprompt": "a"}, "did you mean 'systemPrompt'?"),
    Refused("scrape", "v1", {"maxConcurrency": 2}, "no option 'maxConcurrency' in v1"),
    # Formats of the other version.
    Refused(
        "batch_scrape", "v1", {"formats": [JSON]}, "'formats[0]' of Firecrawl's batch scrape in v1: v1 takes words"
    ),
    Refused("crawl", "v1", {"scrapeOptions": {"formats": [{"type": "html"}]}}, "write the word alone"),
    Refused("scrape", "v2", {"formats": ["screenshot@fullPage"]}, "write {'type': 'screenshot', 'fullPage': True}"),
    Refused("scrape", "v2", {"formats": ["extract"]}, "v2 does not know 'extract'; write {'type': 'json'"),
    Refused(
        "scrape", "v2", {"formats": [{"prompt": "a"}]}, "'formats[0]' of Firecrawl's scrape in v2: it lacks 'type'"
    ),
    # Types.
    Refused(
        "batch_scrape", "v1", {"mobile": "true"}, "option 'mobile' of Firecrawl's batch scrape in v1: expected bool"
    ),
    Refused("batch_scrape", "v1", {"mobile": None}, "expected bool, got None"),
    Refused(
        "batch_scrape", "v2", {"formats": "markdown"}, "option 'formats' of Firecrawl's batch scrape in v2: expected"
    ),
    Refused(
        "batch_scrape", "v1", {"timeout": "5000"}, "'timeout' of Firecrawl's batch scrape in v1: expected int, got"
    ),
    Refused("batch_scrape", "v1", {"waitFor": True}, "expected int, got bool"),
    Refused("batch_scrape", "v1", {"waitFor": 1.5}, "expected int, got number"),
    Refused("batch_scrape", "v1", {"maxAge": -1}, "expected int >= 0"),
    Refused(
        "batch_scrape", "v1", {"includeTags": "nav"}, "'includeTags' of Firecrawl's batch scrape in v1: expected list"
    ),
    Refused(
        "batch_scrape", "v1", {"includeTags": [5]}, "option 'includeTags[0]' of Firecrawl's batch scrape in v1: exp"
    ),
    Refused(
        "batch_scrape", "v1", {"headers": ["a"]}, "'headers' of Firecrawl's batch scrape in v1: expected dict, got"
    ),
    Refused("batch_scrape", "v1", {"headers": {"a": 1}}, "'headers.a' of Firecrawl's batch scrape in v1: expected str"),
    Refused("batch_scrape", "v1", {"ignoreInvalidURLs": "no"}, "expected bool, got str"),
    Refused("batch_scrape", "v2", {"redactPII": "yes"}, "expected bool | dict, got str"),
    Refused("batch_scrape", "v1", {"location": "DE"}, "'location' of Firecrawl's batch scrape in v1: expected dict"),
    Refused(
        "crawl", "v1", {"scrapeOptions": ["markdown"]}, "'scrapeOptions' of Firecrawl's crawl in v1: expected dict"
    ),
    Refused(
        "crawl", "v1", {"scrapeOptions": {"mobile": 1}}, "option 'scrapeOptions.mobile' of Firecrawl's crawl in v1"
    ),
    Refused(
        "crawl", "v2", {"includePaths": "/docs"}, "option 'includePaths' of Firecrawl's crawl in v2: expected list"
    ),
    Refused("crawl", "v1", {"allowSubdomains": 1}, "expected bool, got int"),
    Refused("crawl", "v1", {"maxDepth": "2"}, "option 'maxDepth' of Firecrawl's crawl in v1: expected number, got str"),
    Refused("map", "v1", {"search": ["a"]}, "expected str, got list"),
    Refused("map", "v2", {"includeSubdomains": "yes"}, "expected bool, got str"),
    Refused("search", "v1", {"limit": "5"}, "expected int, got str"),
    Refused("search", "v2", {"sources": "web"}, "'sources' of Firecrawl's search in v2: expected list"),
    Refused("agent", "v2", {"strictConstrainToURLs": "yes"}, "expected bool, got str"),
    Refused("extract", "v1", {"enableWebSearch": "yes"}, "expected bool, got str"),
    # Limits.
    Refused("batch_scrape", "v1", {"waitFor": 60_001}, "expected int <= 60000"),
    Refused("batch_scrape", "v2", {"waitFor": -1}, "expected int >= 0"),
    Refused(
        "batch_scrape",
        "v1",
        {"waitFor": 6000, "timeout": 10_000},
        "options of Firecrawl's batch scrape in v1: waitFor (6000 ms) must not exceed half of timeout (10000 ms)",
    ),
    Refused("scrape", "v2", {"waitFor": 501, "timeout": 1000}, "must not exceed half of timeout"),
    Refused(
        "crawl",
        "v2",
        {"scrapeOptions": {"waitFor": 501, "timeout": 1000}},
        "option 'scrapeOptions' of Firecrawl's crawl in v2: waitFor (501 ms) must not exceed half",
    ),
    Refused("extract", "v1", {"scrapeOptions": {"waitFor": 501, "timeout": 1000}}, "must not exceed half of timeout"),
    Refused("batch_scrape", "v1", {"timeout": 0}, "expected int >= 1"),
    Refused("batch_scrape", "v1", {"maxConcurrency": 0}, "expected int >= 1"),
    Refused("crawl", "v2", {"maxConcurrency": -1}, "expected int >= 1"),
    Refused("batch_scrape", "v1", {"maxConcurrency": "2"}, "expected int, got str"),
    Refused("batch_scrape", "v1", {"actions": [{"type": "press", "key": "a"}] * 51}, "expected list of length <= 50"),
    Refused(
        "batch_scrape", "v1", {"actions": [{"type": "click"}]}, "'actions[0]' of Firecrawl's batch scrape in v1: it"
    ),
    Refused("scrape", "v2", {"actions": [{"type": "wait"}]}, "a wait takes either 'milliseconds' or 'selector'"),
    Refused("batch_scrape", "v2", {"parsers": [{"type": "pdf", "maxPages": 10_001}]}, "expected int <= 10000"),
    Refused(
        "batch_scrape", "v1", {"appendToId": "abc"}, "'appendToId' of Firecrawl's batch scrape in v1: invalid UUID"
    ),
    Refused("crawl", "v2", {"prompt": "x" * 10_001}, "expected str of length <= 10000"),
    Refused("crawl", "v2", {"delay": 0}, "option 'delay' of Firecrawl's crawl in v2: expected number > 0"),
    Refused("map", "v1", {"limit": 0}, "expected number >= 1"),
    Refused("map", "v2", {"limit": 100_001}, "expected number <= 100000"),
    Refused("search", "v1", {"limit": 101}, "expected int <= 100"),
    # What has to stand together.
    Refused(
        "batch_scrape", "v1", {"formats": ["json"]}, "'json' and 'jsonOptions' go together: 'jsonOptions' is missing"
    ),
    Refused("batch_scrape", "v1", {"jsonOptions": {"prompt": "a"}}, "'json' in 'formats' is missing"),
    Refused(
        "crawl", "v1", {"scrapeOptions": {"formats": ["json"]}}, "'scrapeOptions' of Firecrawl's crawl in v1: the form"
    ),
    Refused("batch_scrape", "v1", {"formats": ["changeTracking"]}, "changeTracking needs the format markdown as well"),
    Refused("scrape", "v2", {"formats": [{"type": "changeTracking"}]}, "needs the format markdown as well"),
    # Webhooks and the caller's name.
    Refused(
        "batch_scrape",
        "v1",
        {"webhook": {"url": "https://a.test/", "events": ["page", "batch_scrape.completed"]}},
        "option 'webhook.events[1]' of Firecrawl's batch scrape in v1: events have short names here; write 'completed'",
    ),
    Refused(
        "crawl", "v2", {"webhook": {"url": "https://a.test/", "events": ["finished"]}}, "'finished' is none of star"
    ),
    Refused(
        "agent", "v2", {"webhook": {"url": "https://a.test/", "events": ["page"]}}, "'page' is none of started, act"
    ),
    Refused(
        "batch_scrape", "v1", {"webhook": {"events": ["page"]}}, "'webhook' of Firecrawl's batch scrape in v1: it lac"
    ),
    Refused(
        "batch_scrape", "v1", {"webhook": {"url": "https://a.test/", "metadata": {"a": 1}}}, "expected str, got int"
    ),
    Refused("batch_scrape", "v1", {"webhook": 5}, "'webhook' of Firecrawl's batch scrape in v1: expected"),
    *[
        Refused(operation, version, {"integration": "airflow"}, "the service refuses 'airflow'")
        for operation in NEEDED
        for version in ("v1", "v2")
        if (operation, version) != ("agent", "v1")
    ],
]
"""Each of these is a 400, or would be one on some server: none of them starts anything."""
