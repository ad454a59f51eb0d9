"""docs/cleanup.md says what the clean-up does: options, commands, output, exit codes, and whom it leaves alone."""

import configparser
import dataclasses
import json
import re
import shlex
import time
import typing
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from airflow.utils import yaml

from airflow_provider_jobs import cleanup, commands, plugin
from airflow_provider_jobs.__main__ import parser
from airflow_provider_jobs.books import Books, Record
from airflow_provider_jobs.cli import get_commands
from airflow_provider_jobs.compat import Owner, OwnerView
from airflow_provider_jobs.exceptions import LedgerSettingsError
from airflow_provider_jobs.get_provider_info import get_provider_info
from airflow_provider_jobs.jobs import finding, orphans
from airflow_provider_jobs.jobs.history import KEPT, Closed, Entry
from airflow_provider_jobs.jobs.model import JobRef, JobState, JobStatus, StartedJob
from airflow_provider_jobs.ledger import KEY
from airflow_provider_jobs.ledger_folder import SECTION, LedgerFolder
from airflow_provider_jobs.operators import recovery
from tests.examples.test_docs import DOCS, README, rows, section, shown, table

PAGE = DOCS["cleanup"]
COMMANDS = {command.name: command for command in get_commands()[0].subcommands}
OPTIONS = get_provider_info()["config"][SECTION]["options"]
STATES = "| `state` | meaning |"
OWNER = Owner("shop", "manual__1", "scrape")
JOB = StartedJob(JobRef("firecrawl", "batch_scrape", "id-1", "v1"), 1000.0, 3)
ENTRY = Entry(1, 0, "print", "firecrawl_default", "firecrawl", "batch_scrape", "POST /v1/batch/scrape", 1000.0, job=JOB)


def blocks(text: str, language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block for name, block in found if name == language]


def variable(option: str) -> str:
    return f"AIRFLOW__{SECTION}__{option}".upper()


class OneState:
    """An Airflow in which every task is in the same state."""

    def __init__(self, view: OwnerView) -> None:
        self.view = view

    def views(self, owners: Collection[Owner]) -> dict[Owner, OwnerView]:
        return dict.fromkeys(owners, self.view)


# --- configuration ----------------------------------------------------------------------------------------------------


def test_configuration() -> None:
    described = {name: row[:3] for name, row in table(PAGE, "Configuration").items()}
    assert described == {
        name: [f"`{variable(name)}`", option["type"], f"`{option['default']}`" if option["default"] else "none"]
        for name, option in OPTIONS.items()
    }


def test_configuration_to_copy() -> None:
    (of_readme,), (of_page,) = blocks(README, "ini"), blocks(PAGE, "ini")
    for text in (of_readme, of_page):
        read = configparser.ConfigParser()
        read.read_string(text)
        assert read.sections() == [SECTION]
        assert set(read[SECTION]) == {"ledger_path", "deployment"} <= set(OPTIONS)
        assert read[SECTION]["ledger_path"] == OPTIONS["ledger_path"]["example"]
    as_variables = dict(re.findall(r"^(AIRFLOW__\w+)='(.*)'$", PAGE, re.MULTILINE))
    assert as_variables == {variable(name): value for name, value in read[SECTION].items()}


def test_names_of_deployments(tmp_path: Path) -> None:
    signs = re.search(r"Letters, digits, (.*)", table(PAGE, "Configuration")["deployment"][-1])[1]
    allowed = re.findall(r"`(.)`", signs)
    for sign in map(chr, range(32, 127)):
        if sign in allowed or sign.isalnum():
            LedgerFolder(tmp_path.as_uri(), f"a{sign}")
        else:
            with pytest.raises(LedgerSettingsError):
                LedgerFolder(tmp_path.as_uri(), f"a{sign}")


# --- the record -------------------------------------------------------------------------------------------------------


def test_where_the_record_is() -> None:
    text = section(PAGE, "The record of starts")
    assert f"`{KEY}`" in text
    assert f"the last {KEPT} closed ones" in table(PAGE, "`list`")["--all"][1]


def test_objects_of_the_folder(tmp_path: Path) -> None:
    folder = LedgerFolder(tmp_path.as_uri(), "production")
    for entry in (
        dataclasses.replace(ENTRY, job=None),
        ENTRY,
        dataclasses.replace(ENTRY, closed=Closed.DELIVERED),
    ):
        folder.save(OWNER, entry.to_dict())
    written = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.json"))
    (shape,) = (block for block in blocks(PAGE, "") if block.startswith("<ledger_path>/"))
    assert [path.name for path in written] == re.findall(r"\d{6}\.\S+", shape)
    places = shape.splitlines()[0].removeprefix("<ledger_path>/").split("/")[:-1]
    values = {
        "<deployment>": "production", "<dag>": OWNER.dag_id, "<run>": OWNER.run_id, "<task>": OWNER.task_id,
        "<map index>": str(OWNER.map_index),
    }  # fmt: skip
    assert list(written[0].parts[:-1]) == [values[place] for place in places]


# --- commands ---------------------------------------------------------------------------------------------------------


def test_every_command_has_a_section() -> None:
    headings = re.findall(r"^### `(\w+)`$", section(PAGE, "The commands"), re.MULTILINE)
    assert headings == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_options(name: str) -> None:
    options = [arg for arg in COMMANDS[name].args if arg.flags[0].startswith("-")]
    described = {
        tuple(re.findall(r"`(-[\w-]+)`", row[0])): row[1:]
        for row in rows(section(PAGE, f"`{name}`"))
        if row[0].startswith("`-")
    }
    assert list(described) == [arg.flags for arg in options]
    for arg in options:
        default, meaning = described[arg.flags]
        if arg.kwargs.get("action") == "store_true":
            assert default == "off", arg.flags
        else:
            assert default == (f"`{arg.kwargs['default']}`" if "default" in arg.kwargs else "all"), arg.flags
        assert re.findall(r"`(\w+)`", meaning) == list(arg.kwargs.get("choices", ())) or "choices" not in arg.kwargs


def test_arguments_without_a_flag() -> None:
    for name, command in COMMANDS.items():
        for arg in command.args:
            if not arg.flags[0].startswith("-"):
                assert f"`airflow remote-jobs {name} {arg.kwargs['metavar']}…`" in section(PAGE, f"`{name}`")


@pytest.mark.parametrize("page", ["README", "cleanup", "kill-behaviour", "operators"])
def test_commands_to_copy(page: str) -> None:
    text = README if page == "README" else DOCS[page]
    found = re.findall(r"airflow (remote-jobs [a-z][^`#>\n]*)", text)
    assert found
    for line in found:
        parser().parse_args(shlex.split(line.replace("…", "")))


def test_age_of_the_default() -> None:
    (default,) = (arg.kwargs["default"] for arg in COMMANDS["cleanup"].args if arg.flags == ("--older-than",))
    assert commands._seconds(default) == orphans.OLDER_THAN
    described = table(PAGE, "`cleanup`")["--older-than"][1]
    assert set(re.findall(r"`(\w)`", described)) == set(commands._UNITS) - {""}


def test_keys_of_the_list() -> None:
    finding = cleanup.Finding(Record(OWNER, ENTRY), orphans.Judgement(True, True, "why"), True)
    described = [row[0].strip("`") for row in rows(section(PAGE, "`list`").partition(STATES)[0])]
    assert [name for name in described if not name.startswith("-")] == list(commands._row(finding))


def test_states_of_the_list() -> None:
    after = STATES + section(PAGE, "`list`").partition(STATES)[2]
    words = {row[0].strip("`") for row in rows(after)}
    records = [dataclasses.replace(ENTRY, job=None), ENTRY, *(dataclasses.replace(ENTRY, closed=why) for why in Closed)]
    judgement = orphans.Judgement(False, True, "why")
    assert words == {
        commands._row(cleanup.Finding(Record(OWNER, entry), judgement, True))["state"] for entry in records
    }
    of_services = re.search(r"service's answer: (.*?)\. A job", after, re.DOTALL)[1]
    assert set(re.findall(r"`(\w+)`", of_services)) == {str(state) for state in JobState}


def test_a_job_that_is_over_is_no_orphan_any_more() -> None:
    finding = cleanup.Finding(Record(OWNER, ENTRY), orphans.Judgement(True, True, "why"), True)
    assert commands._row(finding)["orphan"]
    finding.status = JobStatus(JobState.SUCCEEDED, raw_status="completed")
    assert not commands._row(finding)["orphan"]
    assert "A job that turns out to be over is no orphan then." in section(PAGE, "`list`")


def test_how_a_lost_start_is_looked_for() -> None:
    text = section(DOCS["kill-behaviour"], "A start without an answer")
    pauses = re.search(r"after about (\d+), (\d+) and (\d+) seconds more", text).groups()
    assert tuple(map(float, pauses)) == recovery.PAUSES
    assert float(re.search(r"(\d+) seconds either way", text)[1]) == finding.SLACK


# --- exit codes -------------------------------------------------------------------------------------------------------


def described_exit(code: int, command: str) -> str:
    head = re.search(r"^\| code \|(.*)\|$", section(PAGE, "Exit codes"), re.MULTILINE)[1]
    column = [name.strip(" `") for name in head.split("|")].index(command)
    (row,) = (row for row in rows(section(PAGE, "Exit codes")) if row[0] == str(code))
    return row[1 + column]


def run(monkeypatch: pytest.MonkeyPatch, folder: LedgerFolder, view: OwnerView, *line: str) -> int:
    """Run a command on this folder, with an Airflow in which every task looks like this; return the exit code."""
    monkeypatch.setattr(commands, "all_books", lambda: (Books(None, folder), OneState(view)))
    args = parser().parse_args(["remote-jobs", *line])
    work = getattr(commands, {"list": "list_jobs", "cancel": "cancel_jobs", "cleanup": "clean_up_jobs"}[line[0]])
    while hasattr(work, "__wrapped__"):
        work = work.__wrapped__
    try:
        return int(work(args) or 0)
    except SystemExit as end:
        return int(end.code or 0)


GONE = OwnerView(exists=False, state=None)
FAILED = OwnerView(exists=True, state="failed")


@pytest.mark.parametrize(
    ("entries", "view", "line", "code", "told"),
    [
        (0, FAILED, ["list", "-o", "json"], 0, "everything could be read"),
        (0, FAILED, ["cleanup"], 0, "what had to be ended is over"),
        (0, FAILED, ["cancel", "no-such-id"], 1, "a job is not on record"),
        (2, FAILED, ["cleanup", "--dry-run"], 0, "what had to be ended is over"),
        (2, GONE, ["cleanup", "--dry-run"], 1, "nothing was done because of the wrong database"),
        (2, GONE, ["cleanup", "--dry-run", "--force"], 0, "what had to be ended is over"),
        (1, GONE, ["cleanup", "--dry-run"], 0, "what had to be ended is over"),
        (-1, FAILED, ["cleanup"], 0, "also when a start without an answer is reported"),
        (0, FAILED, ["cleanup", "--older-than", "soon"], 2, "wrong usage"),
    ],
)
def test_exit_codes(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    entries: int,
    view: OwnerView,
    line: list[str],
    code: int,
    told: str,
) -> None:
    folder = LedgerFolder(tmp_path.as_uri(), "production")
    for number in range(abs(entries)):
        entry = dataclasses.replace(ENTRY, job=None) if entries < 0 else ENTRY
        folder.save(dataclasses.replace(OWNER, run_id=f"r{number}"), entry.to_dict())
    assert run(monkeypatch, folder, view, *line) == code
    assert told in described_exit(code, line[0])


def test_an_empty_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    printed: list[str] = []
    monkeypatch.setattr(commands, "_out", printed.append)
    for output, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        assert run(monkeypatch, LedgerFolder(tmp_path.as_uri(), "x"), FAILED, "list", "-o", output) == 0
        assert read(printed.pop()) == []
    assert "JSON and YAML are `[]`" in section(PAGE, "`list`")


def test_usage() -> None:
    for name in COMMANDS:
        with pytest.raises(SystemExit) as end:
            parser().parse_args(["remote-jobs", name, "--no-such-option"])
        assert end.value.code == 2
        assert described_exit(2, name) == "wrong usage"


# --- whom it leaves alone, and how long things take -------------------------------------------------------------------


def test_states_that_count_as_over() -> None:
    text = section(PAGE, "What a clean-up leaves alone")
    over, alive = re.search(r"Only (.*?) count as over.*?counts as alive: (.*?), and that", text, re.DOTALL).groups()
    over, alive = (set(re.findall(r"`(\w+)`", part)) for part in (over, alive))
    assert over == orphans._OVER
    now = time.time()
    for state in alive:
        assert not orphans.judge(ENTRY, is_newest=True, exists=True, state=state, now=now).orphan, state
        assert orphans.judge(ENTRY, is_newest=False, exists=True, state=state, now=now).orphan, state


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        (r"younger than (\d+) seconds", orphans.OLDER_THAN),
        (r"all others from (\d+)\s+seconds on", orphans.OLDER_THAN),
        (r"holds up the start for (\d+) seconds at most", plugin.LONGEST),
        (r"none of (\d+) tasks", cleanup.EVIDENCE),
    ],
)
def test_figures(pattern: str, value: float) -> None:
    assert [float(number) for number in re.findall(pattern, PAGE)] == [value]


# --- the operator and the manifest ------------------------------------------------------------------------------------


def test_what_the_operator_returns() -> None:
    lists = {name for name, kind in typing.get_type_hints(cleanup.Report).items() if kind == list[cleanup.Finding]}
    assert set(table(PAGE, "As a task")) == lists - {"failed"}, "a failure raises"


def test_older_than_of_the_operator() -> None:
    assert table(DOCS["operators"], "`RemoteJobsCleanupOperator`")["older_than"][0] == shown("", orphans.OLDER_THAN)


def test_kubernetes_manifest() -> None:
    (text,) = blocks(PAGE, "yaml")
    manifest: dict[str, Any] = yaml.safe_load(text)
    assert (manifest["apiVersion"], manifest["kind"]) == ("batch/v1", "CronJob")
    pod = manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"][0] == "airflow"
    parser().parse_args(container["command"][1:])
    names = {one["name"] for one in container["env"]}
    assert names == {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CORE__FERNET_KEY",
        variable("ledger_path"), variable("deployment"),
    }  # fmt: skip
    (line,) = re.findall(r"^(\S+ \S+ \S+ \S+ \S+) \. .* && airflow (.*?) >", PAGE, re.MULTILINE)
    assert line[0] == manifest["spec"]["schedule"]
    parser().parse_args(shlex.split(line[1]))
