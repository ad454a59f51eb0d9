"""Check a built wheel and what Airflow makes of it: `python check_wheel.py WHEEL`.

Runs with the python of an environment in which the wheel, and not the checkout, is installed. Exits 1 and says what
is wrong when Airflow's own ProvidersManager does not take the provider as it is.
"""

import logging
import os
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DISTRIBUTION = "airflow-provider-jobs"
PACKAGE = "airflow_provider_jobs"
COMMON_FIELDS = {"connect_timeout", "timeout", "verify", "ca_bundle", "proxy", "max_requests_per_minute"}
FORM_FIELDS = {"firecrawl": COMMON_FIELDS | {"api_version"}, "datafiniti": COMMON_FIELDS | {"auth"}}
NOT_IN_THE_WHEEL = ("tests", "example_dags", "docs", "benchmarks")


class Listener(logging.Handler):
    """Keeps what is logged as a warning or worse, and Python's warnings that our own code causes."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: dict[str, None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1]:
            text += f" ({record.exc_info[1]!r})"
        self.heard[text] = None

    def warn(self, message: Warning | str, category: type[Warning], filename: str, lineno: int, *rest: Any) -> None:
        if PACKAGE in filename:
            self.heard[f"{category.__name__} at {filename}:{lineno}: {message}"] = None


def wrong_files(wheel: Path) -> Iterator[str]:
    names = zipfile.ZipFile(wheel).namelist()
    if f"{PACKAGE}/py.typed" not in names:
        yield "py.typed is missing from the wheel"
    for name in names:
        top = name.split("/")[0]
        if top in NOT_IN_THE_WHEEL or (top != PACKAGE and not top.endswith(".dist-info")):
            yield f"{name} does not belong into the wheel"
    if not any(name.endswith(".dist-info/licenses/LICENSE") for name in names):
        yield "the licence is missing from the wheel"


def wrong_place() -> Iterator[str]:
    import airflow_provider_jobs

    place = Path(str(airflow_provider_jobs.__file__))
    if not place.is_relative_to(sys.prefix):
        yield f"{PACKAGE} comes from {place}, not from the wheel in {sys.prefix}"


def wrong_metadata() -> Iterator[str]:
    """Let Airflow read, validate and import everything that the provider declares."""
    from airflow.providers_manager import ProvidersManager

    listener = Listener()  # after the import, with which Airflow sets its logging up
    logging.getLogger().addHandler(listener)
    logging.getLogger("airflow").addHandler(listener)
    warnings.simplefilter("always")
    warnings.showwarning = listener.warn  # type: ignore[assignment]

    manager = ProvidersManager()
    if DISTRIBUTION not in manager.providers:
        yield f"Airflow does not know {DISTRIBUTION}; it knows {sorted(manager.providers)}"
        return
    hooks = manager.hooks
    for kind, fields in FORM_FIELDS.items():
        hook = hooks.get(kind)
        if hook is None:
            yield f"no hook for the connection type {kind} (it may not be importable)"
            continue
        if hook.package_name != DISTRIBUTION:
            yield f"the connection type {kind} belongs to {hook.package_name}"
        widgets = set(form_fields(manager, kind))
        if missing := sorted(fields - widgets):
            yield f"the form of {kind} lacks {', '.join(missing)}; it has {sorted(widgets)}"
        if kind not in manager.field_behaviours:
            yield f"the form of {kind} has no field behaviour (labels, hidden fields)"
    data = manager.providers[DISTRIBUTION].data
    yield from unimportable(data)
    manager.extra_links_class_names  # noqa: B018  a property that checks as it reads
    for message in listener.heard:
        yield f"warning: {message}"


def form_fields(manager: Any, kind: str) -> Iterator[str]:
    """Yield the names of the connection form's own fields; their keys are extra__TYPE__NAME."""
    for key in manager.connection_form_widgets:
        prefix = f"extra__{kind}__"
        if key.startswith(prefix):
            yield key.removeprefix(prefix)


def unimportable(data: dict[str, Any]) -> Iterator[str]:
    """Import every module and class that the metadata name."""
    from importlib import import_module

    modules = [
        module
        for part in ("hooks", "operators", "sensors", "triggers")
        for entry in data.get(part, [])
        for module in entry["python-modules"]
    ]
    paths = [entry["hook-class-name"] for entry in data.get("connection-types", [])]
    paths += data.get("extra-links", []) + data.get("cli", [])
    paths += [entry["plugin-class"] for entry in data.get("plugins", [])]
    if not modules:
        yield "the metadata name no module"
    for module in modules:
        try:
            import_module(module)
        except Exception as error:
            yield f"{module}: {error!r}"
    for path in paths:
        module, _, name = path.rpartition(".")
        try:
            getattr(import_module(module), name)
        except Exception as error:
            yield f"{path}: {error!r}"


def wrong_cli() -> Iterator[str]:
    """Ask the command line, in a process of its own, as a user does."""
    answer = subprocess.run(
        [sys.executable, "-m", "airflow", "providers", "list", "--output", "plain"],
        capture_output=True,
        text=True,
        cwd=os.environ["AIRFLOW_HOME"],
    )
    if answer.returncode:
        yield f"`airflow providers list` failed:\n{answer.stdout}{answer.stderr}"
    elif DISTRIBUTION not in answer.stdout:
        yield f"`airflow providers list` does not show {DISTRIBUTION}:\n{answer.stdout}"
    for line in (answer.stdout + answer.stderr).splitlines():
        if "warning" in line.lower() and PACKAGE in line:
            yield f"`airflow providers list` warned: {line}"


def main() -> int:
    wheel = Path(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="jobs-wheel-") as home:
        os.environ["AIRFLOW_HOME"] = home
        os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
        os.chdir(home)
        problems = [*wrong_files(wheel), *wrong_place(), *wrong_metadata(), *wrong_cli()]
    for problem in problems:
        print(f"check_wheel: {problem}", file=sys.stderr)
    if not problems:
        print(f"check_wheel: Airflow takes {wheel.name}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
