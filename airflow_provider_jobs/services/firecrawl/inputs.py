"""What users ask of Firecrawl, as specifications: what the service would refuse gets no further."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from airflow_provider_jobs.exceptions import InvalidInputError
from airflow_provider_jobs.jobs.model import JobSpec
from airflow_provider_jobs.services.base import encode_json
from airflow_provider_jobs.services.firecrawl.kinds import check_version, version_for
from airflow_provider_jobs.services.firecrawl.options import check_body_options

NAME = "firecrawl"
LARGEST_BODY = 10_000_000
"""Bytes of a start request; servers refuse more than 10 MB, some with an error that does not say so."""
ORIGIN = "airflow-provider-jobs"
EXTRACT_ORIGIN = f"python-sdk@{ORIGIN}"
"""Self-hosted servers of 2025 do an extract inside its start, and give it no id, unless the origin names an SDK."""
CRAWL_LIMIT = 10_000
"""Pages of a crawl, when the user names no number: the service's own default, which is always sent."""
MOST_EXTRACT_URLS_V1 = 10

BY_ARGUMENT: Mapping[str, tuple[str, ...]] = {
    "batch_scrape": ("urls",),
    "crawl": ("url", "limit"),
    "agent": ("prompt", "urls", "schema", "maxCredits"),
    "extract": ("urls", "prompt", "schema"),
    "scrape": ("url",),
    "map": ("url",),
    "search": ("query",),
}
"""Keys of each operation's body that have an argument of their own."""


class FirecrawlInputs:
    """Builds the specifications of jobs and calls."""

    @staticmethod
    def check_options(operation: str, options: Any, *, version: str | None, check_names: bool = True) -> dict[str, Any]:
        """Return the options of an operation after checking them; see :func:`check_body_options`."""
        return check_body_options(
            options, operation=operation, version=version, by_argument=BY_ARGUMENT[operation], check=check_names
        )

    def batch_scrape(self, urls: Any, *, api_version: str, options: Any = None, check_names: bool = True) -> JobSpec:
        """Return the batch scrape of some pages.

        :param urls: list of addresses; not deduplicated, because the service bills and answers each.
        :param options: further keys of the request body, in the service's own spelling.
        :raises InvalidInputError: the service would refuse this, or bill for nothing.
        """
        version = check_version(api_version)
        extra = self.check_options("batch_scrape", options, version=version, check_names=check_names)
        keep_invalid = extra.get("ignoreInvalidURLs") is True
        addresses = self.check_urls(urls, allow_invalid=keep_invalid)
        # The default differs between v1, v2 and builds of v2: always said.
        body = {"ignoreInvalidURLs": False, "origin": ORIGIN, **extra, "urls": addresses}
        return spec_of("batch_scrape", body, version, asked=len(addresses))

    def crawl(
        self, url: Any, *, limit: Any = None, api_version: str, options: Any = None, check_names: bool = True
    ) -> JobSpec:
        """Return the crawl of a site.

        :param limit: the most pages to scrape and pay for. Always sent, because servers lower it silently to what the
            account can pay where it is left out. Default 10,000, the service's own.
        :raises InvalidInputError: the service would refuse this.
        """
        version = check_version(api_version)
        extra = self.check_options("crawl", options, version=version, check_names=check_names)
        body = {
            "origin": ORIGIN,
            **extra,
            "url": self.check_url(url),
            "limit": self.check_limit(limit),
        }
        return spec_of("crawl", body, version)

    def agent(
        self,
        prompt: Any,
        *,
        urls: Any = None,
        schema: Any = None,
        max_credits: Any = None,
        options: Any = None,
        check_names: bool = True,
    ) -> JobSpec:
        """Return the run of an agent, which exists in API v2 only.

        :param max_credits: the most credits to spend; the service's own default is 2,500.
        :raises InvalidInputError: the service would refuse this.
        """
        extra = self.check_options("agent", options, version="v2", check_names=check_names)
        body = {"origin": ORIGIN, **extra, "prompt": self.check_prompt(prompt)}
        if urls is not None:
            body["urls"] = self.check_urls(urls)
        if schema is not None:
            body["schema"] = self.check_schema(schema)
        if max_credits is not None:
            body["maxCredits"] = self.check_credits(max_credits)
        return spec_of("agent", body, version_for("agent", given=None, default="v2"))

    def extract(
        self,
        *,
        urls: Any = None,
        prompt: Any = None,
        schema: Any = None,
        api_version: str,
        options: Any = None,
        check_names: bool = True,
    ) -> JobSpec:
        """Return an extract: data in a given shape from some pages.

        :raises InvalidInputError: neither addresses nor a prompt, or the service would refuse this.
        """
        version = check_version(api_version)
        extra = self.check_options("extract", options, version=version, check_names=check_names)
        body: dict[str, Any] = {"origin": EXTRACT_ORIGIN, **extra}
        if urls is None and prompt is None:
            raise InvalidInputError("an extract needs urls, a prompt, or both")
        if urls is not None:
            body["urls"] = addresses = self.check_urls(urls)
            if version == "v1" and len(addresses) > MOST_EXTRACT_URLS_V1:
                raise InvalidInputError(
                    f"an extract of API v1 takes at most {MOST_EXTRACT_URLS_V1} urls, not {len(addresses)}"
                )
        if prompt is not None:
            body["prompt"] = self.check_prompt(prompt)
        if schema is not None:
            body["schema"] = self.check_schema(schema)
        return spec_of("extract", body, version)

    # --- single values ----------------------------------------------------------------------------------------

    @staticmethod
    def check_urls(urls: Any, *, allow_invalid: bool = False) -> list[str]:
        """Return a list of page addresses.

        :param allow_invalid: leave the verdict on each address to the service, as long as one may be good.
        :raises InvalidInputError: no list, an empty one, or an address that no server accepts.
        """
        if isinstance(urls, str | bytes | Mapping) or not isinstance(urls, Iterable):
            raise InvalidInputError('urls must be a list of addresses, such as ["https://example.com/a"]')
        addresses = list(urls)
        if not addresses:
            raise InvalidInputError("urls is empty: there is nothing to scrape")
        for place, url in enumerate(addresses):
            if not isinstance(url, str):
                raise InvalidInputError(f"urls[{place}] must be a string, not {type(url).__name__}")
        objections = [(place, _objection(url)) for place, url in enumerate(addresses)]
        bad = [f"urls[{place}] {objection}: {addresses[place]!r}" for place, objection in objections if objection]
        if bad and not allow_invalid:
            raise InvalidInputError(f"{bad[0]}; options={{'ignoreInvalidURLs': True}} leaves bad addresses out instead")
        if len(bad) == len(addresses):
            raise InvalidInputError(f"none of the urls is an address, so there is nothing to scrape: {bad[0]}")
        return addresses

    @staticmethod
    def check_url(url: Any) -> str:
        """Return one page's address.

        :raises InvalidInputError: it is none.
        """
        if not isinstance(url, str):
            raise InvalidInputError(f'url must be an address, such as "https://example.com/", not {url!r}')
        if objection := _objection(url):
            raise InvalidInputError(f"url {objection}: {url!r}")
        return url

    @staticmethod
    def check_limit(limit: Any) -> int:
        """Return the number of pages of a crawl, also from a template.

        :raises InvalidInputError: no whole number from 1.
        """
        return CRAWL_LIMIT if limit is None else _count(limit, "limit", "pages")

    @staticmethod
    def check_credits(credits: Any) -> int:
        """Return the most credits of an agent's run, also from a template.

        :raises InvalidInputError: no whole number from 1.
        """
        return _count(credits, "max_credits", "credits")

    @staticmethod
    def check_prompt(prompt: Any) -> str:
        """Return a prompt.

        :raises InvalidInputError: no text, an empty one, or more than 10,000 characters.
        """
        return _text(prompt, "prompt", longest=10_000)

    @staticmethod
    def check_query(query: Any) -> str:
        """Return what to search for.

        :raises InvalidInputError: no text, or an empty one.
        """
        return _text(query, "query")

    @staticmethod
    def check_schema(schema: Any) -> dict[str, Any]:
        """Return a JSON schema.

        :raises InvalidInputError: it is no dictionary, or not JSON.
        """
        if not isinstance(schema, Mapping):
            raise InvalidInputError(f"schema must be a JSON schema as a dictionary, not {type(schema).__name__}")
        _encoded(schema, "schema")
        return dict(schema)


def spec_of(kind: str, body: dict[str, Any], version: str, *, asked: int | None = None) -> JobSpec:
    """Return a specification whose body the service can take.

    :param asked: number of addresses.
    :raises InvalidInputError: it is too large, or no JSON.
    """
    size = len(_encoded(body, kind))
    if size > LARGEST_BODY:
        of_urls = f" for {asked:,} urls" if asked else ""
        raise InvalidInputError(
            f"the request would have {size:,} bytes{of_urls}, and Firecrawl takes at most {LARGEST_BODY:,}"
            + ("; split the urls over several tasks" if asked else "")
        )
    return JobSpec(NAME, kind, body, version, asked=asked)


def _encoded(value: Any, what: str) -> bytes:
    try:
        return encode_json(value)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{what} holds something that JSON cannot: {error}") from None


def _count(value: Any, name: str, unit: str) -> int:
    if isinstance(value, str) and re.fullmatch(r"\s*\d+\s*", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidInputError(f"{name} must be a number of {unit} from 1, not {value!r}")
    return value


def _text(value: Any, name: str, *, longest: int | None = None) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidInputError(f"{name} must be a text, not {value!r}")
    if longest is not None and len(value) > longest:
        raise InvalidInputError(f"{name} has {len(value):,} characters, and Firecrawl takes at most {longest:,}")
    return value


def _objection(url: str) -> str | None:
    stripped = url.strip()
    if not stripped or any(character.isspace() for character in stripped):
        return "is not an address"
    scheme, separator, _ = stripped.partition("://")
    if separator and scheme.casefold() not in {"http", "https"}:
        return "must begin with http:// or https://"
    return None
