"""What can be switched on the two services, with the defaults."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

CHOICES: dict[str, tuple[Any, ...]] = {
    "pagination": ("current", "A", "B", "C"),
    "server": ("2026", "2025"),
    "cancel_reply": ("status", "message", "empty"),
    "agent_cancelled": ("failed", "cancelled"),
    "wire": ("w2", "w1", "w3"),
    "cancel_body": ("object", "message", "empty"),
    "error_family": ("e1", "e2", "nonjson"),
    "zero_match": ("completed_empty", "400", "404_nonjson", "stuck"),
    "delete_terminal": ("object", "400"),
    "bad_token_status": (401, 400),
    "csv_header": ("each", "first"),
    "csv_quotes": ("doubled", "bare"),
}


class UnknownSetting(ValueError):
    """A setting, or a value of one, that does not exist."""


@dataclass
class _Mergeable:
    def merge(self, changes: dict[str, Any]) -> None:
        """Take over the given values; a mistake in one of them changes nothing at all."""
        known = {item.name for item in fields(self)}
        unknown = sorted(set(changes) - known)
        if unknown:
            raise UnknownSetting(f"unknown settings {unknown}; known are {sorted(known)}")
        for name, value in changes.items():
            if name in CHOICES and value not in CHOICES[name]:
                raise UnknownSetting(f"{name} is one of {list(CHOICES[name])}, not {value!r}")
        for name, value in changes.items():
            setattr(self, name, value)

    def as_dict(self) -> dict[str, Any]:
        """All values."""
        return asdict(self)


@dataclass
class FirecrawlSettings(_Mergeable):
    """Switches of the Firecrawl stand-in."""

    page_seconds: float = 0.2
    concurrency: int = 8
    hold: bool = False
    hold_after: int | None = None
    keys: list[str] | None = None
    credits: int | None = None
    pagination: str = "current"
    page_documents: int = 100
    page_bytes: int = 10 * 1024 * 1024
    server: str = "2026"
    cancel_reply: str = "status"
    cancel_delay: float = 0.0
    end_delay: float = 0.0
    cancel_ignored: int = 0
    not_found_for: float = 0.0
    next_origin: str | None = None
    kickoff_failure: bool = False
    credits_used: int | None = None
    rate_limit: int | None = None
    raw_status: str | None = None
    content_bytes: int | None = None
    synthetic: bool = False
    drop_results: int = 0
    duplicate_document: bool = False
    agent_newer: bool = True
    agent_cancelled: str = "failed"
    agent_expires: bool = False
    no_usage: bool = False
    scrape_continues: bool = False
    scrape_delete: bool = False
    extract_gone: bool | None = False

    @property
    def with_database(self) -> bool:
        """Whether keys are looked at, as on the hosted service."""
        return self.keys is not None

    @property
    def old(self) -> bool:
        """Whether the server of August 2025 is played."""
        return self.server == "2025"


@dataclass
class DatafinitiSettings(_Mergeable):
    """Switches of the Datafiniti stand-in."""

    wire: str = "w2"
    start_status: int = 202
    cancel_body: str = "object"
    error_family: str = "e1"
    zero_match: str = "completed_empty"
    t_queue: float = 0.2
    rate: float = 50.0
    hold: bool = False
    cancel_delay: float = 0.0
    cancel_race: bool = False
    delete_terminal: str = "object"
    bad_token_status: int = 401
    gzip_files: bool = False
    overage: bool = False
    file_records: int = 10_000
    multiply: int = 1
    fields_csv: list[str] | None = None
    csv_header: str = "each"
    csv_quotes: str = "doubled"
    views: dict[str, list[str]] = field(
        default_factory=lambda: {
            "business_basic": ["id", "name", "city", "country"],
            "product_flat_prices": ["id", "name", "prices"],
        }
    )
    tokens: list[str] = field(default_factory=lambda: ["sandbox-token"])
    users: dict[str, str] = field(default_factory=lambda: {"user@example.com": "secret"})
    rate_limit: int | None = None
