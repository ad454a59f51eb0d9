"""What Airflow itself makes of the provider's metadata: the connection forms of DESIGN 5."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from typing import Any

import pytest

from airflow_provider_jobs.get_provider_info import get_provider_info
from airflow_provider_jobs.hooks.datafiniti import DatafinitiHook
from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook

SCRIPT = """
import json
from airflow.providers_manager import ProvidersManager

manager = ProvidersManager()
found = {"hooks": {}, "fields": {}, "behaviour": {}, "version": manager.providers["airflow-provider-jobs"].version}
for name in ("firecrawl", "datafiniti"):
    hook = manager.hooks[name]
    found["hooks"][name] = [hook.hook_name, hook.hook_class_name, hook.connection_id_attribute_name]
    found["behaviour"][name] = manager.field_behaviours[name]
for name, info in manager.connection_form_widgets.items():
    if info.package_name == "airflow-provider-jobs":
        field = info.field.dump() if hasattr(info.field, "dump") else info.field
        found["fields"][name] = field if isinstance(field, dict) else str(field)
print(json.dumps(found, default=str))
"""

COMMON = {
    "connect_timeout": ("Connect timeout (s)", 10),
    "timeout": ("Read timeout (s)", 60),
    "verify": ("Verify TLS", True),
    "ca_bundle": ("CA bundle", None),
    "proxy": ("Proxy", None),
}


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """Asked in a process of its own, because the manager keeps what it has read."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "airflow_provider_jobs" not in done.stderr, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_both_connection_types_are_known(told: dict[str, Any]) -> None:
    assert told["hooks"] == {
        "firecrawl": ["Firecrawl", "airflow_provider_jobs.hooks.firecrawl.FirecrawlHook", "firecrawl_conn_id"],
        "datafiniti": ["Datafiniti", "airflow_provider_jobs.hooks.datafiniti.DatafinitiHook", "datafiniti_conn_id"],
    }


@pytest.mark.parametrize(
    ("service", "own"),
    [
        ("firecrawl", {"api_version": ("API version", "v1"), "max_requests_per_minute": ("Requests per minute", 500)}),
        ("datafiniti", {"auth": ("Authentication", "token"), "max_requests_per_minute": ("Requests per minute", 60)}),
    ],
)
def test_the_fields_of_the_forms(told: dict[str, Any], service: str, own: dict[str, Any]) -> None:
    prefix = f"extra__{service}__"
    fields = {name.removeprefix(prefix): field for name, field in told["fields"].items() if name.startswith(prefix)}
    wanted = {**COMMON, **own}
    assert set(fields) == set(wanted)
    for name, (label, default) in wanted.items():
        field = fields[name]
        schema = field.get("schema", {})
        assert schema.get("title", field.get("label")) == label
        assert field.get("value", schema.get("default")) == default
        assert "null" in schema["type"]  # may be left empty
        assert field.get("description")


@pytest.mark.parametrize(
    ("service", "name", "choices"),
    [("firecrawl", "api_version", ["v1", "v2"]), ("datafiniti", "auth", ["token", "login"])],
)
def test_choices(told: dict[str, Any], service: str, name: str, choices: list[str]) -> None:
    assert told["fields"][f"extra__{service}__{name}"]["schema"]["enum"] == choices


@pytest.mark.parametrize("name", ["connect_timeout", "timeout", "max_requests_per_minute"])
@pytest.mark.parametrize("service", ["firecrawl", "datafiniti"])
def test_numbers_have_limits(told: dict[str, Any], service: str, name: str) -> None:
    schema = told["fields"][f"extra__{service}__{name}"]["schema"]
    assert schema["minimum"] > 0
    assert schema["minimum"] <= schema["default"] <= schema["maximum"]


def test_the_standard_fields(told: dict[str, Any]) -> None:
    """The secret stands in Password, which Airflow masks; Host is not required."""
    firecrawl, datafiniti = told["behaviour"]["firecrawl"], told["behaviour"]["datafiniti"]
    assert set(firecrawl["hidden-fields" if "hidden-fields" in firecrawl else "hidden_fields"]) == {
        "login",
        "port",
        "schema",
    }
    assert firecrawl["relabeling"] == {"password": "API key", "host": "Base URL"}
    assert firecrawl["placeholders"]["host"] == FirecrawlHook.hosted
    assert set(datafiniti["hidden-fields" if "hidden-fields" in datafiniti else "hidden_fields"]) == {"port", "schema"}
    assert datafiniti["placeholders"]["host"] == DatafinitiHook.hosted


def test_every_module_that_is_named_exists() -> None:
    info = get_provider_info()
    entries = [entry for kind in ("hooks", "operators", "sensors", "triggers") for entry in info[kind]]
    modules = {module for entry in entries for module in entry["python-modules"]}
    assert len(modules) == 8
    for module in modules:
        importlib.import_module(module)


def test_the_form_and_the_hook_agree() -> None:
    """What the form shows as default is what an empty connection means."""
    kinds = {entry["connection-type"]: entry for entry in get_provider_info()["connection-types"]}
    for hook in (FirecrawlHook, DatafinitiHook):
        entry = kinds[hook.conn_type]
        assert entry["hook-name"] == hook.hook_name
        assert entry["conn-fields"]["max_requests_per_minute"]["schema"]["default"] == hook.default_rate
