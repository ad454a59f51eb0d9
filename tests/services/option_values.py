"""Right names with right values, as the services' references have them: written down apart from our schemas."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Values = dict[str, st.SearchStrategy[Any]]

WORD = st.text(st.characters(codec="utf-8"), max_size=8)
WORDS = st.lists(WORD, max_size=3)
FLAG = st.booleans()
JSON_SCHEMA = st.dictionaries(WORD, st.one_of(WORD, FLAG, WORDS), max_size=2)


def some_of(values: Values) -> st.SearchStrategy[dict[str, Any]]:
    """A few of the keys, each with a value."""
    return st.lists(st.sampled_from(sorted(values)), unique=True, max_size=6).flatmap(
        lambda names: st.fixed_dictionaries({name: values[name] for name in names})
    )


LOCATION = some_of({"country": st.sampled_from(["US", "de"]), "languages": WORDS})
SCREENSHOT: Values = {
    "fullPage": FLAG,
    "quality": st.integers(1, 100),
    "viewport": st.fixed_dictionaries({"width": st.integers(1, 7680), "height": st.integers(1, 4320)}),
}
TRACKING: Values = {
    "modes": st.lists(st.sampled_from(["git-diff", "json"])), "tag": st.none() | WORD,
    "prompt": WORD, "schema": JSON_SCHEMA,
}  # fmt: skip
ACTION = st.one_of(
    st.fixed_dictionaries({"type": st.just("wait"), "milliseconds": st.integers(1, 60_000)}),
    st.fixed_dictionaries({"type": st.just("wait"), "selector": WORD}),
    st.fixed_dictionaries({"type": st.just("click"), "selector": WORD}, optional={"all": FLAG}),
    st.fixed_dictionaries({"type": st.just("screenshot")}, optional=SCREENSHOT),
    st.fixed_dictionaries({"type": st.just("write"), "text": WORD}),
    st.fixed_dictionaries({"type": st.just("press"), "key": WORD}),
    st.fixed_dictionaries(
        {"type": st.just("scroll")}, optional={"direction": st.sampled_from(["up", "down"]), "selector": WORD}
    ),
    st.fixed_dictionaries({"type": st.just("scrape")}),
    st.fixed_dictionaries({"type": st.just("executeJavascript"), "script": WORD}),
    st.fixed_dictionaries({"type": st.just("pdf")}, optional={"landscape": FLAG, "scale": st.floats(0.1, 2)}),
)
PAGE: Values = {
    **dict.fromkeys(
        ("onlyMainContent", "mobile", "skipTlsVerification", "removeBase64Images", "fastMode", "blockAds",
         "storeInCache"), FLAG,
    ),
    "headers": st.dictionaries(WORD, WORD, max_size=2),
    "includeTags": WORDS,
    "excludeTags": WORDS,
    "timeout": st.integers(1_000, 300_000) | st.just(30_000.0),
    "waitFor": st.integers(0, 60_000),
    "proxy": WORD,
    "maxAge": st.integers(0, 10**12),
    "minAge": st.integers(0, 10**12),
    "location": LOCATION,
    "actions": st.lists(ACTION, max_size=3),
}  # fmt: skip
EXTRACTION = some_of({"schema": JSON_SCHEMA, "systemPrompt": WORD, "prompt": WORD})
PAGE_V1: Values = {
    **PAGE,
    "formats": st.lists(
        st.sampled_from(["markdown", "html", "rawHtml", "links", "screenshot", "json", "summary", "changeTracking"]),
        unique=True,
    ),
    "parsePDF": FLAG,
    "jsonOptions": EXTRACTION,
    "changeTrackingOptions": some_of(TRACKING),
}
FORMAT_V2 = st.one_of(
    st.sampled_from(["markdown", "html", "rawHtml", "links", "images", "summary", "changeTracking", "screenshot"]),
    st.fixed_dictionaries({"type": st.just("json")}, optional={"prompt": WORD, "schema": JSON_SCHEMA}),
    st.fixed_dictionaries({"type": st.just("screenshot")}, optional=SCREENSHOT),
    st.fixed_dictionaries({"type": st.just("changeTracking")}, optional=TRACKING),
    st.fixed_dictionaries({"type": st.just("markdown")}),
)
PAGE_V2: Values = {
    **PAGE,
    "formats": st.lists(FORMAT_V2, max_size=3),
    "parsers": st.lists(
        st.just("pdf")
        | st.fixed_dictionaries({"type": st.just("pdf")}, optional={"mode": WORD, "maxPages": st.integers(1, 10_000)}),
        max_size=2,
    ),
    "lockdown": FLAG,
    "redactPII": FLAG | some_of({"mode": WORD, "replaceStyle": WORD, "entities": WORDS}),
    "profile": st.fixed_dictionaries({"name": st.just("shop")}, optional={"saveChanges": FLAG}),
}


def settled(page: dict[str, Any]) -> dict[str, Any]:
    """The same with what belongs together brought together."""
    page = dict(page)
    if page.get("waitFor", 0) > page.get("timeout", 300_000) / 2:
        page["timeout"] = page["waitFor"] * 2
    words = [item["type"] if isinstance(item, dict) else item for item in page.get("formats", [])]
    if "changeTracking" in words and "markdown" not in words:
        page["formats"] = [*page["formats"], "markdown"]
    if "json" in page.get("formats", []):
        page.setdefault("jsonOptions", {})
    elif "jsonOptions" in page:
        page["formats"] = [*page.get("formats", ["markdown"]), "json"]
    return page


def webhook(*events: str) -> st.SearchStrategy[Any]:
    texts = st.dictionaries(WORD, WORD, max_size=2)
    return st.just("http://127.0.0.1:9/x") | st.fixed_dictionaries(
        {"url": st.just("http://127.0.0.1:9/x")},
        optional={"headers": texts, "metadata": texts, "events": st.lists(st.sampled_from(events))},
    )


CALLER: Values = {"origin": WORD, "integration": st.sampled_from(["n8n", "zapier", "_mine"])}
JOB: Values = {
    **CALLER, "webhook": webhook("started", "page", "completed", "failed"), "maxConcurrency": st.integers(1, 50),
    "zeroDataRetention": st.just(False),
}  # fmt: skip
PATHS = st.lists(st.sampled_from(["^/blog/.*$", "articles/[0-9]+"]), max_size=2)
WALK: Values = {
    **dict.fromkeys(
        ("regexOnFullURL", "allowExternalLinks", "allowSubdomains", "ignoreRobotsTxt", "deduplicateSimilarURLs",
         "ignoreQueryParameters", "crawlEntireDomain"), FLAG,
    ),
    "includePaths": PATHS, "excludePaths": PATHS, "maxDiscoveryDepth": st.integers(0, 9), "delay": st.floats(0.1, 60),
}  # fmt: skip
WALK_V1: Values = {**WALK, "maxDepth": st.integers(0, 9), "allowBackwardLinks": FLAG, "ignoreSitemap": FLAG}
WALK_V2: Values = {**WALK, "sitemap": st.sampled_from(["include", "skip", "only"])}
MAP: Values = {**CALLER, "limit": st.integers(1, 30_000), "search": WORD, "includeSubdomains": FLAG,
               "timeout": st.integers(1, 60_000), "location": LOCATION}  # fmt: skip
SEARCH: Values = {**CALLER, "limit": st.integers(1, 100), "tbs": WORD, "lang": WORD, "country": WORD,
                  "location": WORD, "timeout": st.integers(1, 60_000), "ignoreInvalidURLs": FLAG}  # fmt: skip
EXTRACT: Values = {
    **CALLER, "systemPrompt": WORD, "limit": st.integers(1, 50), "ignoreSitemap": FLAG, "includeSubdomains": FLAG,
    "enableWebSearch": FLAG, "allowExternalLinks": FLAG, "showSources": FLAG, "urlTrace": FLAG,
    "ignoreInvalidURLs": FLAG, "timeout": st.integers(1_000, 60_000),
}  # fmt: skip


def page(values: Values, more: Values) -> st.SearchStrategy[dict[str, Any]]:
    """Page options with the keys of a body beside them."""
    return some_of({**values, **more}).map(settled)


def around(values: Values, inner: Values) -> st.SearchStrategy[dict[str, Any]]:
    """Keys of a body with page options in a dictionary of their own."""
    return some_of({**values, "scrapeOptions": some_of(inner).map(settled)})


BODIES: dict[str, dict[str, st.SearchStrategy[dict[str, Any]]]] = {
    "batch_scrape": {
        "v1": page(PAGE_V1, {**JOB, "ignoreInvalidURLs": FLAG}),
        "v2": page(PAGE_V2, {**JOB, "ignoreInvalidURLs": FLAG}),
    },
    "scrape": {"v1": page(PAGE_V1, CALLER), "v2": page(PAGE_V2, CALLER)},
    "crawl": {
        "v1": around({**JOB, **WALK_V1, "limit": st.integers(-1, 9)}, PAGE_V1),
        "v2": around({**JOB, **WALK_V2, "limit": st.integers(-1, 9), "prompt": WORD}, PAGE_V2),
    },
    "map": {
        "v1": some_of({**MAP, "ignoreSitemap": FLAG, "sitemapOnly": FLAG}),
        "v2": some_of({**MAP, "sitemap": st.sampled_from(["include", "skip", "only"]), "ignoreQueryParameters": FLAG}),
    },
    "search": {
        "v1": around({**SEARCH, "filter": WORD}, PAGE_V1),
        "v2": around({**SEARCH, "sources": st.lists(
            st.sampled_from(["web", "news", "images", {"type": "web", "tbs": "qdr:d"}]), max_size=2,
        )}, PAGE_V2),
    },
    "agent": {
        "v2": some_of({
            **CALLER, "urls": WORDS, "prompt": st.text(max_size=20), "schema": JSON_SCHEMA,
            "maxCredits": st.integers(0, 10_000), "strictConstrainToURLs": FLAG, "model": WORD, "effort": WORD,
            "mode": WORD, "threadId": st.uuids().map(str),
            "webhook": webhook("started", "action", "completed", "failed", "cancelled"),
        }),
    },
    "extract": {"v1": around(EXTRACT, PAGE_V1), "v2": around(EXTRACT, PAGE_V2)},
}  # fmt: skip
"""Options that the service takes, per operation and version."""
