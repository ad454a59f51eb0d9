"""README and docs say what the code does: arguments, defaults, fields, errors, settings, faults."""

import ast
import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import requests
from airflow.sdk import BaseOperator, BaseSensorOperator

from airflow_provider_jobs import exceptions
from airflow_provider_jobs.get_provider_info import get_provider_info
from airflow_provider_jobs.hooks.datafiniti import DatafinitiHook
from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook
from airflow_provider_jobs.jobs.model import JobSummary
from airflow_provider_jobs.operators import cleanup as cleanup_operators
from airflow_provider_jobs.operators import datafiniti as datafiniti_operators
from airflow_provider_jobs.operators import firecrawl as firecrawl_operators
from airflow_provider_jobs.operators.base import RemoteJobOperator
from airflow_provider_jobs.operators.delivery import DeliveringOperator
from airflow_provider_jobs.operators.fetching import FetchResultsOperator
from airflow_provider_jobs.operators.firecrawl.calls import FirecrawlCallOperator
from airflow_provider_jobs.sandbox import Sandbox, faults
from airflow_provider_jobs.sandbox.server import HOSTS
from airflow_provider_jobs.sandbox.settings import CHOICES, DatafinitiSettings, FirecrawlSettings
from airflow_provider_jobs.sensors import datafiniti as datafiniti_sensors
from airflow_provider_jobs.sensors import firecrawl as firecrawl_sensors
from airflow_provider_jobs.sensors.base import RemoteJobSensor
from airflow_provider_jobs.services.datafiniti import wire as datafiniti_service
from airflow_provider_jobs.services.firecrawl import CALLS, KINDS
from airflow_provider_jobs.services.firecrawl import wire as firecrawl_service
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()
DOCS = {path.stem: path.read_text() for path in (ROOT / "docs").glob("*.md")}
MODULES = [
    firecrawl_operators, datafiniti_operators, cleanup_operators, firecrawl_sensors, datafiniti_sensors
]  # fmt: skip
SHARED = [RemoteJobOperator, DeliveringOperator, FetchResultsOperator, FirecrawlCallOperator, RemoteJobSensor]
"""Bases whose arguments have a table of their own."""


def public_classes() -> list[type]:
    """The operators and sensors that users import: those of the public modules that are not bases."""
    found = {
        cls
        for module in MODULES
        for name, cls in vars(module).items()
        if inspect.isclass(cls) and issubclass(cls, BaseOperator) and not name.startswith("_")
    }
    return sorted(found - {BaseOperator, BaseSensorOperator, *SHARED}, key=lambda cls: cls.__name__)


PUBLIC = public_classes()
STARTERS = [cls for cls in PUBLIC if issubclass(cls, RemoteJobOperator)]


def section(text: str, heading: str) -> str:
    """The text below a heading, with its subsections."""
    found = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert found, f"no heading {heading!r}"
    level = len(found[1])
    following = re.search(rf"^#{{1,{level}}} ", text[found.end() :], re.MULTILINE)
    return text[found.end() : found.end() + following.start()] if following else text[found.end() :]


def rows(text: str) -> Iterator[list[str]]:
    """The rows of all tables in a text, without heads and rules."""
    lines = text.splitlines()
    for place, line in enumerate(lines):
        is_head = place + 1 < len(lines) and re.match(r"\|(-+\|)+$", lines[place + 1])
        if line.startswith("|") and not is_head and not re.match(r"\|(-+\|)+$", line):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def table(text: str, heading: str) -> dict[str, list[str]]:
    """The rows below a heading, by what stands in backticks at their beginning."""
    return {row[0].strip("`"): row[1:] for row in rows(section(text, heading)) if row[0].startswith("`")}


def own_arguments(cls: type) -> dict[str, Any]:
    """The arguments of a class's own constructor, with their defaults."""
    parameters = inspect.signature(cls.__init__).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def arguments(cls: type) -> dict[str, Any]:
    """The arguments of a class that are not in the table of a shared base, with their defaults."""
    found: dict[str, Any] = {}
    for base in cls.__mro__:
        if base in (BaseOperator, BaseSensorOperator, *SHARED):
            break
        if "__init__" in vars(base):
            found = own_arguments(base) | found
    return found


def public_module(cls: type) -> str:
    """The module that users import a class from; operators of one service may be spread over a package."""
    return ".".join(cls.__module__.split(".")[:3])


def shown(name: str, default: Any) -> str:
    """A default as the docs write it."""
    if default is inspect.Parameter.empty:
        return "required"
    if name == "deferrable":
        return "`[operators] default_deferrable`"
    if default is None:
        return "none"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


# --- operators and sensors --------------------------------------------------------------------------------------------


def test_every_public_class_is_in_the_tables() -> None:
    modules = [f"{public_module(cls).removeprefix('airflow_provider_jobs.')}.{cls.__name__}" for cls in PUBLIC]
    assert {name for name in table(README, "Operators") if "." in name} == set(modules)
    info = get_provider_info()
    listed = {name for kind in ("operators", "sensors") for entry in info[kind] for name in entry["python-modules"]}
    assert listed == {public_module(cls) for cls in PUBLIC} == {module.__name__ for module in MODULES}
    for name, row in table(README, "Operators").items():
        if "." not in name:
            continue
        cls = next(cls for cls in PUBLIC if name.endswith(f".{cls.__name__}"))
        required = {arg for arg, default in arguments(cls).items() if default is inspect.Parameter.empty}
        required |= {"num_records"} if "num_records" in arguments(cls) else set()
        assert set(re.findall(r"`(\w+)`", row[1])) == required, name


@pytest.mark.parametrize("cls", PUBLIC, ids=lambda cls: cls.__name__)
def test_arguments_of_each_class(cls: type) -> None:
    described = table(DOCS["operators"], f"`{cls.__name__}`")
    assert {name: row[0] for name, row in described.items()} == {
        name: shown(name, default) for name, default in arguments(cls).items()
    }
    assert f"`{public_module(cls)}`" in section(DOCS["operators"], f"`{cls.__name__}`")
    templated = {name for name, row in described.items() if row[1] == "yes"}
    assert templated == set(cls.template_fields) & set(described)
    shared = {name for base in SHARED if issubclass(cls, base) for name in own_arguments(base)}
    assert set(cls.template_fields) - set(described) <= shared


@pytest.mark.parametrize("cls", PUBLIC, ids=lambda cls: cls.__name__)
def test_every_operator_runs_in_an_example(cls: type) -> None:
    """The examples themselves are run by `test_examples.py`."""
    calls = re.compile(rf"\b{cls.__name__}(\.partial)?\(")
    assert any(calls.search(code_of(path)) for path in (ROOT / "example_dags").glob("*.py"))


def code_of(path: Path) -> str:
    """A module's code, without its docstring."""
    tree = ast.parse(path.read_text())
    return "\n".join(ast.unparse(statement) for statement in tree.body[1:])


def test_arguments_of_all_that_start_a_job() -> None:
    shared = own_arguments(RemoteJobOperator) | own_arguments(DeliveringOperator)
    expected = {name: shown(name, default) for name, default in shared.items()}
    text = section(DOCS["operators"], "What the operators that start a job share")
    assert dict(split_tables(text)[0]) == expected
    assert all("output_path" in cls.template_fields for cls in STARTERS)
    in_readme = {name: row[0] for name, row in table(README, "Operators").items() if "." not in name}
    assert {name: re.match(r"none|`[^`]*`", cell)[0] for name, cell in in_readme.items()} == expected


@pytest.mark.parametrize(
    ("heading", "cls"),
    [
        ("What Firecrawl's calls share", FirecrawlCallOperator),
        ("What the operators share that fetch a result", DeliveringOperator),
    ],
)
def test_arguments_that_are_shared(heading: str, cls: type) -> None:
    described = table(DOCS["operators"], heading)
    assert {name: row[0] for name, row in described.items()} == {
        name: shown(name, default) for name, default in own_arguments(cls).items()
    }
    inherit = [public for public in PUBLIC if issubclass(public, cls)]
    templated = {name for name, row in described.items() if row[1] == "yes"}
    assert inherit
    assert all(templated == set(public.template_fields) & set(described) for public in inherit)


def test_arguments_of_the_sensors() -> None:
    text = section(DOCS["operators"], "What the sensors share")
    ours, airflows = (dict(part) for part in split_tables(text))
    assert ours == {name: shown(name, default) for name, default in own_arguments(RemoteJobSensor).items()}
    defaults = own_arguments(BaseSensorOperator)
    assert defaults["timeout"] is None
    assert airflows.pop("timeout") == "`[sensors] default_timeout`"
    assert airflows == {name: shown(name, defaults[name]) for name in airflows}


def split_tables(text: str) -> list[list[tuple[str, str]]]:
    blocks = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    return [[(row[0].strip("`"), row[1]) for row in rows(block)] for block in blocks]


def test_methods_of_the_hooks_exist() -> None:
    described = set()
    for row in rows(section(DOCS["operators"], "Hooks")):
        for name in re.findall(r"`(?:\w+\(ref\)\.)?(\w+)[(.]", row[0]):
            assert hasattr(FirecrawlHook, name) or hasattr(DatafinitiHook, name), name
            described.add(name)
    public = {name for name, value in vars(FirecrawlHook).items() if inspect.isfunction(value) and name[0] != "_"}
    assert public - described == {"version_for", "call", "raw_value", "pages"}, "these are for the operators"


def test_methods_of_the_hooks_take_what_is_shown() -> None:
    for row in rows(section(DOCS["operators"], "Hooks")):
        for name, shown_arguments in re.findall(r"`(\w+)\(([^`]*)\)`", row[0]):
            hook = FirecrawlHook if hasattr(FirecrawlHook, name) and "(Datafiniti)" not in row[0] else DatafinitiHook
            taken = inspect.signature(getattr(hook, name)).parameters
            for argument in re.findall(r"(\w+)=", shown_arguments):
                assert argument in taken, f"{name}({argument}=…)"


# --- connections ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("place", "heading"), [(0, "Firecrawl"), (1, "Datafiniti")])
def test_connection_fields(place: int, heading: str) -> None:
    conn_fields = get_provider_info()["connection-types"][place]["conn-fields"]
    described = table(DOCS["connections"], heading)
    assert list(described) == list(conn_fields)
    in_readme = table_of_fields()
    for name, field in conn_fields.items():
        label, default, meaning = described[name]
        schema = field["schema"]
        assert label == field["label"]
        assert default == ("none" if schema["default"] is None else f"`{json.dumps(schema['default']).strip(chr(34))}`")
        for choice in schema.get("enum", ()):
            assert f"`{choice}`" in meaning
        if "minimum" in schema:
            assert f"{schema['minimum']} to {schema['maximum']}" in meaning
        if schema["default"] is not None:
            assert in_readme[name][place].startswith(default)


def table_of_fields() -> dict[str, list[str]]:
    found = [row for row in rows(section(README, "Connect")) if row[0].startswith("extra ")]
    return {row[0].removeprefix("extra ").strip("`"): row[1:] for row in found}


EXPECTED = {
    "FIRECRAWL_DEFAULT": (FirecrawlHook, "https://api.firecrawl.dev", "fc-YOUR-KEY"),
    "SELF_HOSTED": (FirecrawlHook, "http://localhost:3002", None),
    "DATAFINITI_DEFAULT": (DatafinitiHook, "https://api.datafiniti.co", "YOUR-TOKEN"),
    "BY_LOGIN": (DatafinitiHook, "https://api.datafiniti.co", None),
}
VARIABLES = re.findall(r"AIRFLOW_CONN_(\w+)='([^']*)'", README + DOCS["connections"])


@pytest.mark.parametrize(("conn_id", "value"), VARIABLES)
def test_connections_to_copy(monkeypatch: pytest.MonkeyPatch, conn_id: str, value: str) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id}", value)
    cls, address, key = EXPECTED[conn_id]
    hook = cls(conn_id.lower())
    assert (hook.endpoint.base_url, hook.endpoint.token) == (address, key)
    if "api_version" in value:
        assert hook.api_version == "v2"
    if conn_id == "BY_LOGIN":
        assert (hook.endpoint.login.email, hook.endpoint.login.password) == ("me@example.com", "PASSWORD")


def test_every_form_is_shown() -> None:
    assert len(VARIABLES) == 3 + 2 * len(EXPECTED)


# --- results and errors -----------------------------------------------------------------------------------------------


def test_return_value() -> None:
    described = {name for row in rows(section(README, "The return value")) for name in re.findall(r"`(\w+)`", row[0])}
    assert described == {field.name for field in fields(JobSummary)}


def test_errors() -> None:
    classes = {
        name: cls
        for name, cls in vars(exceptions).items()
        if inspect.isclass(cls) and issubclass(cls, exceptions.RemoteJobsError)
    }
    described = table(README, "Errors")
    bases = {"RemoteJobsError", "ServiceError"}
    assert set(described) == set(classes) - bases
    assert {name: row[1] for name, row in described.items()} == {
        name: "no" if classes[name].permanent else "yes" for name in described
    }


def test_status_words() -> None:
    described = {row[0].strip("`"): row[1:] for row in rows(section(DOCS["services"], "Status words"))}
    for column, service in enumerate((firecrawl_service, datafiniti_service)):
        for word, state in service._STATES.items():
            assert f"`{word}`" in described[str(state)][column]


def test_addresses_of_firecrawl() -> None:
    """Each kind of job and call, how it is started and whether it can be ended."""
    described = {row[0]: row[1:] for row in rows(section(DOCS["services"], "What is asked for"))}
    for kind, info in KINDS.items():
        start, look, end, versions = described[kind.replace("_", " ")]
        assert start == f"`POST {info.route}`"
        assert (f"`GET {info.route}/{{id}}`" in look) == info.watchable
        assert ("DELETE" in end) == info.cancellable
        assert all(version in versions for version in info.versions)
    for call, route in CALLS.items():
        assert described[call][0] == f"`POST {route}`"


# --- sandbox ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heading", "settings"),
    [("Settings of Firecrawl", FirecrawlSettings()), ("Settings of Datafiniti", DatafinitiSettings())],
)
def test_sandbox_settings(heading: str, settings: Any) -> None:
    described = table(DOCS["sandbox"], heading)
    assert {name: json.loads(row[0]) for name, row in described.items()} == settings.as_dict()
    for name, choices in CHOICES.items():
        if name in described:
            assert all(f"`{choice}`" in described[name][1] for choice in choices), name


def test_sandbox_faults() -> None:
    assert set(table(DOCS["sandbox"], "Faults")) == faults.NAMES


def test_sandbox_addresses_and_options() -> None:
    top = DOCS["sandbox"].partition("## Control")[0]
    for host in HOSTS:
        assert f"| `{host}` |" in top
        assert f"--{host}-port" in top


def test_sandbox_snippet_runs() -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", DOCS["sandbox"], re.DOTALL)
    exec(compile(ast.parse(snippet), "docs/sandbox.md", "exec"), {"Sandbox": Sandbox})


def test_sandbox_site_has_the_pages(sandbox: Any) -> None:
    told = DOCS["sandbox"]
    for path in re.findall(r"`(/[\w/]+\.html)`", told):
        if path.startswith(("/slow", "/drop", "/redirect")):
            continue
        reply = requests.get(sandbox.urls["site"] + path, timeout=30)
        assert reply.status_code == (500 if "/error/" in path else 200), path


# --- all pages --------------------------------------------------------------------------------------------------------


def pages() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "benchmarks" / "README.md", *(ROOT / "docs").glob("*.md")]


@pytest.mark.parametrize("page", pages(), ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", pages(), ids=lambda path: path.name)
def test_links_to_headings_lead_somewhere(page: Path) -> None:
    for name, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text()):
        target = page.parent / name if name else page
        headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert anchor in anchors, f"{name}#{anchor}"


@pytest.mark.parametrize("page", pages(), ids=lambda path: path.name)
def test_named_files_exist(page: Path) -> None:
    for name in re.findall(r"`((?:example_dags|tests|docs|airflow_provider_jobs)/[\w/.-]*)`", page.read_text()):
        assert (ROOT / name).exists(), name
