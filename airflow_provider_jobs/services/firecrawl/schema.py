"""What may be said about a page in Firecrawl's API v1 and v2.

As its reference of 2024 to 2026 documents it and its servers of August 2025 to 2026 check it. Where these differ, the
wider one stands here: a wrong refusal is worse than a missed one. Words such as formats, proxies and models are open
sets, because each release adds some; keys are not, because both versions refuse a key that they do not know.
"""

# ruff: noqa: D101  the objects have the names of the reference
# No `from __future__ import annotations` here: TypedDict does not see Required in annotations that are text.

from collections.abc import Mapping
from typing import Annotated, Any, Required, TypedDict

from msgspec import Meta

from airflow_provider_jobs.services.schema import LOOSE, ByType, Rules

Positive = Annotated[int, Meta(gt=0)]
NotNegative = Annotated[int, Meta(ge=0)]
# True is a schema, too, and None is as good as none.
JsonSchema = dict[str, Any] | bool | None
LONGEST_WAIT = 60_000
"""Milliseconds of ``waitFor``."""
MOST_ACTIONS = 50
LONGEST_PROMPT = 10_000
Prompt = Annotated[str, Meta(max_length=LONGEST_PROMPT)]


class Location(TypedDict, total=False):
    country: str
    languages: list[str]


class Viewport(TypedDict, total=False):
    width: Required[Positive]
    height: Required[Positive]


# --- actions --------------------------------------------------------------------------------------------------------


class Wait(TypedDict, total=False):
    type: str
    milliseconds: Positive
    selector: str


class Click(TypedDict, total=False):
    type: str
    selector: Required[str]
    all: bool


class Screenshot(TypedDict, total=False):
    type: str
    fullPage: bool
    quality: Annotated[float, Meta(ge=1, le=100)]
    viewport: Annotated[Viewport, LOOSE]


class Write(TypedDict, total=False):
    type: str
    text: Required[str]


class Press(TypedDict, total=False):
    type: str
    key: Required[str]


class Scroll(TypedDict, total=False):
    type: str
    direction: str
    selector: str


class ExecuteJavascript(TypedDict, total=False):
    type: str
    script: Required[str]


class Pdf(TypedDict, total=False):
    type: str
    landscape: bool
    scale: float
    format: str


def _one_sort_of_wait(action: Mapping[str, Any]) -> str | None:
    if ("milliseconds" in action) == ("selector" in action):
        return "a wait takes either 'milliseconds' or 'selector'"
    return None


_ACTIONS: Mapping[str, Any] = {
    "wait": Annotated[Wait, LOOSE, Rules(_one_sort_of_wait)],
    "click": Annotated[Click, LOOSE],
    "screenshot": Annotated[Screenshot, LOOSE],
    "write": Annotated[Write, LOOSE],
    "press": Annotated[Press, LOOSE],
    "scroll": Annotated[Scroll, LOOSE],
    "executeJavascript": Annotated[ExecuteJavascript, LOOSE],
    "pdf": Annotated[Pdf, LOOSE],
}
Action = Annotated[dict[str, Any], ByType(_ACTIONS)]


# --- formats --------------------------------------------------------------------------------------------------------


class JsonFormat(TypedDict, total=False):
    type: str
    schema: JsonSchema
    prompt: str
    checkPromptInjection: bool


class ChangeTracking(TypedDict, total=False):
    prompt: str
    schema: JsonSchema
    modes: list[str]
    tag: str | None


class ChangeTrackingFormat(ChangeTracking, total=False):
    type: str


class PdfParser(TypedDict, total=False):
    type: str
    mode: str
    maxPages: Annotated[int, Meta(gt=0, le=10_000)]
    pages: bool
    pageMarkdown: bool
    pageMarkers: bool
    blocks: bool


_FORMATS_V2: Mapping[str, Any] = {
    "json": JsonFormat,
    "changeTracking": ChangeTrackingFormat,
    "screenshot": Annotated[Screenshot, LOOSE],
}
_WORDS_OF_V1: Mapping[str, str] = {
    "extract": "{'type': 'json', 'prompt': …, 'schema': …}",
    "screenshot@fullPage": "{'type': 'screenshot', 'fullPage': True}",
}
_OBJECTS_OF_V2: Mapping[str, str] = {
    "json": "'json' here and its prompt and schema under 'jsonOptions'",
    "screenshot": "'screenshot' or 'screenshot@fullPage'",
    "changeTracking": "'changeTracking' here and the rest under 'changeTrackingOptions'",
}


def _word_of_v1(item: Any) -> str | None:
    if not isinstance(item, dict):
        return None
    word = item.get("type")
    instead = _OBJECTS_OF_V2.get(word) if isinstance(word, str) else None
    return f"v1 takes words, not objects; write {instead or 'the word alone'}"


def _word_of_v2(word: Any) -> str | None:
    if word in _WORDS_OF_V1:
        return f"v2 does not know {word!r}; write {_WORDS_OF_V1[word]}"
    return None


FormatV1 = Annotated[str | dict[str, Any], Rules(_word_of_v1)]
FormatV2 = Annotated[str, Rules(_word_of_v2)] | Annotated[dict[str, Any], ByType(_FORMATS_V2)]


# --- pages ----------------------------------------------------------------------------------------------------------


class _Page(TypedDict, total=False):
    headers: dict[str, str]
    includeTags: list[str]
    excludeTags: list[str]
    onlyMainContent: bool
    onlyCleanContent: bool
    timeout: Positive
    waitFor: Annotated[int, Meta(ge=0, le=LONGEST_WAIT)]
    mobile: bool
    location: Annotated[Location, LOOSE]
    skipTlsVerification: bool
    removeBase64Images: bool
    fastMode: bool
    useMock: str
    blockAds: bool
    proxy: str
    maxAge: NotNegative
    minAge: NotNegative
    storeInCache: bool
    threatProtection: dict[str, Any]
    auditMetadata: dict[str, Any]


class ExtractAgent(TypedDict, total=False):
    model: str
    prompt: str


class JsonOptions(TypedDict, total=False):
    schema: JsonSchema
    systemPrompt: str
    prompt: str
    mode: str
    temperature: float
    checkPromptInjection: bool
    agent: ExtractAgent


class PageAgent(TypedDict, total=False):
    model: str
    prompt: str
    sessionId: str
    waitBeforeClosingMs: float


class PageV1(_Page, total=False):
    formats: list[FormatV1]
    actions: Annotated[list[Action], Meta(max_length=MOST_ACTIONS)]
    parsePDF: bool
    jsonOptions: JsonOptions
    extract: JsonOptions
    changeTrackingOptions: ChangeTracking
    geolocation: Location
    agent: Annotated[PageAgent, LOOSE]


class RedactPII(TypedDict, total=False):
    mode: str
    entities: list[str]
    replaceStyle: str


class Profile(TypedDict, total=False):
    name: Required[str]
    saveChanges: bool


class PageV2(_Page, total=False):
    formats: list[FormatV2]
    actions: list[Action]
    parsers: list[str | Annotated[dict[str, Any], ByType({"pdf": PdfParser})]]
    lockdown: bool
    safeMode: bool
    redactPII: bool | RedactPII
    profile: Annotated[Profile, LOOSE]


def _wait_within_timeout(page: Mapping[str, Any]) -> str | None:
    wait, timeout = page.get("waitFor"), page.get("timeout")
    if wait is not None and timeout is not None and wait > timeout / 2:
        return f"waitFor ({wait} ms) must not exceed half of timeout ({timeout} ms)"
    return None


def _words(page: Mapping[str, Any]) -> set[Any]:
    return {item.get("type") if isinstance(item, dict) else item for item in page.get("formats", ["markdown"])}


def _change_tracking_with_markdown(page: Mapping[str, Any]) -> str | None:
    if "changeTracking" in (words := _words(page)) and "markdown" not in words:
        return "the format changeTracking needs the format markdown as well"
    return None


def _json_with_options(page: Mapping[str, Any]) -> str | None:
    if ("json" in _words(page)) == ("jsonOptions" in page):
        return None
    missing = "'jsonOptions'" if "jsonOptions" not in page else "'json' in 'formats'"
    return f"the format 'json' and 'jsonOptions' go together: {missing} is missing"


PAGE_V1 = Rules(_wait_within_timeout, _change_tracking_with_markdown, _json_with_options)
PAGE_V2 = Rules(_wait_within_timeout, _change_tracking_with_markdown)
