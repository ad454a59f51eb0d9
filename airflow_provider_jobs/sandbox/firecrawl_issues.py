"""How Firecrawl puts into words what is wrong with a body."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from airflow_provider_jobs.sandbox.settings import FirecrawlSettings

Issue = dict[str, Any]


class Refused(Exception):
    """The request is answered with an error."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(str(body))
        self.status, self.body = status, body


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


def too_small(path: list[Any], kind: str, least: int, message: str, *, inclusive: bool = True) -> Issue:
    """A value below its minimum."""
    bounds = {"minimum": least, "type": kind, "inclusive": inclusive, "exact": False}
    return {"code": "too_small", **bounds, "message": message, "path": path}


def custom(path: list[Any], message: str) -> Issue:
    """A rule that is not about types."""
    return {"code": "custom", "message": message, "path": path}


def unknown_keys(body: dict[str, Any], known: Collection[str], version: str, path: list[Any]) -> list[Issue]:
    """What is wrong with the names in a body."""
    unknown = [name for name in body if name not in known]
    if not unknown:
        return []
    message = f"Unrecognized key in body -- please review the {version} API documentation for request body changes"
    return [{"code": "unrecognized_keys", "keys": unknown, "path": path, "message": message}]


def kind_issues(value: Any, kind: str, path: list[Any]) -> list[Issue]:
    """What is wrong with the type of a value: a JSON type, `integer`, `strings`, `texts` or `any`."""
    if kind == "any":
        return []
    outer = {"integer": "number", "strings": "array", "texts": "object"}.get(kind, kind)
    if type_name(value) != outer:
        return [wrong_type(path, outer, type_name(value))]
    if kind == "integer" and isinstance(value, float) and not value.is_integer():
        return [wrong_type(path, "integer", "float")]
    if kind == "strings":
        return [issue for place, item in enumerate(value) for issue in kind_issues(item, "string", [*path, place])]
    if kind == "texts":
        return [issue for name, item in value.items() for issue in kind_issues(item, "string", [*path, name])]
    return []


def typed(body: Mapping[str, Any], kinds: Mapping[str, str], path: list[Any]) -> list[Issue]:
    """What is wrong with the types in an object; what is not there is right."""
    return [
        issue for name, kind in kinds.items() if name in body for issue in kind_issues(body[name], kind, [*path, name])
    ]


def strict(value: Any, kinds: Mapping[str, str], version: str, path: list[Any]) -> list[Issue]:
    """What is wrong with an object that may hold the given names alone."""
    if not isinstance(value, dict):
        return [wrong_type(path, "object", type_name(value))]
    return unknown_keys(value, set(kinds), version, path) + typed(value, kinds, path)


def number_issues(
    body: Mapping[str, Any], name: str, path: list[Any], least: int | None = None, most: int | None = None
) -> list[Issue]:
    """What is wrong with the size of a number, where it is one."""
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return []
    if least is not None and value < least:
        return [too_small([*path, name], "number", least, f"Number must be greater than or equal to {least}")]
    if most is not None and value > most:
        return [too_big([*path, name], "number", most, f"Number must be less than or equal to {most}")]
    return []
