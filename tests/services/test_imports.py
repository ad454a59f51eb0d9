"""The walls of the package: who may import whom, read from the source."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import airflow_provider_jobs

NAME = "airflow_provider_jobs"
PACKAGE = Path(airflow_provider_jobs.__file__).parent

# The house, from the top to the ground. A floor may use its own rooms and every lower floor.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("cli", "plugin", "__main__"),
    ("commands",),
    ("operators", "sensors"),
    ("service_side",),
    ("cleanup",),
    ("lost",),
    ("books",),
    ("triggers", "links"),
    ("results", "ledger"),
    ("ledger_folder",),
    ("hooks",),
    ("transport",),
    ("services",),
    ("tasks",),
    ("jobs",),
    ("exceptions", "durations", "compat", "get_provider_info", "__init__"),
)
LEVEL = {room: len(FLOORS) - number for number, rooms in enumerate(FLOORS) for room in rooms}
# On one floor: sensors use what operators have in common, not the other way round.
NOT_SIDEWAYS = {("operators", "sensors"), ("triggers", "links"), ("links", "triggers")}
PURE = ("jobs", "services", "exceptions", "durations")
# msgspec reads JSON; everything else that pure code may use is Python's own, without its network parts.
ALLOWED_PACKAGES = {"msgspec", NAME}
NETWORK = {"socket", "ssl", "http", "urllib.request", "urllib.error", "ftplib", "smtplib", "asyncio", "selectors",
           "subprocess", "threading", "multiprocessing"}  # fmt: skip


def module_of(file: Path) -> str:
    parts = list(file.relative_to(PACKAGE).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join([NAME, *parts])


def imports_of(file: Path) -> set[str]:
    """All modules that a file names in its imports: at the top, inside functions, and for types only."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            module = node.module or ""
            parts = {f"{module}.{alias.name}" for alias in node.names} & set(MODULES)
            found |= parts
            if len(parts) < len(node.names):
                found.add(module)
    return found


FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = {module_of(file): file for file in FILES}
PROVIDER = [file for file in FILES if "sandbox" not in file.parts]


def room_of(module: str) -> str:
    """The room that a module of ours belongs to."""
    rest = module.removeprefix(NAME).lstrip(".")
    return rest.split(".")[0] if rest else "__init__"


def of(file: Path) -> str:
    return str(file.relative_to(PACKAGE))


@pytest.mark.parametrize("file", [file for file in PROVIDER if room_of(module_of(file)) in PURE], ids=of)
def test_pure_code_knows_neither_airflow_nor_a_network(file: Path) -> None:
    for module in imports_of(file):
        top = module.split(".")[0]
        assert top in ALLOWED_PACKAGES or top in sys.stdlib_module_names, f"{of(file)} imports {module}"
        assert not any(module == name or module.startswith(f"{name}.") for name in NETWORK), (
            f"{of(file)} imports {module}"
        )
        if top == NAME:
            assert room_of(module) in {*PURE, "__init__"}, f"{of(file)} imports {module}"


@pytest.mark.parametrize("file", PROVIDER, ids=of)
def test_imports_point_downwards(file: Path) -> None:
    room = room_of(module_of(file))
    assert room in LEVEL, f"{room} has no floor yet: give it one in this test"
    for module in imports_of(file):
        if module.split(".")[0] != NAME:
            continue
        other = room_of(module)
        assert LEVEL[other] <= LEVEL[room], f"{of(file)} imports upwards: {module}"
        assert (room, other) not in NOT_SIDEWAYS, f"{of(file)} imports sideways: {module}"


@pytest.mark.parametrize("file", PROVIDER, ids=of)
def test_the_provider_never_imports_the_sandbox(file: Path) -> None:
    assert not [module for module in imports_of(file) if module.startswith(f"{NAME}.sandbox")]


@pytest.mark.parametrize("file", [file for file in FILES if "sandbox" in file.parts], ids=of)
def test_the_sandbox_judges_with_code_of_its_own(file: Path) -> None:
    """A stand-in that shared the parsers would agree with their mistakes."""
    own = {NAME, f"{NAME}.sandbox"}
    for module in imports_of(file):
        assert module.split(".")[0] != NAME or module in own or module.startswith(f"{NAME}.sandbox."), module


def test_services_do_not_know_each_other() -> None:
    """A third service is one more file; what two share stands in files of no service\'s name."""
    shared = {f"{NAME}.services.{name}" for name in ("base", "errors", "options", "schema", "cancelling", "listing")}
    names = {"firecrawl", "datafiniti"}
    for module, file in MODULES.items():
        parts = module.split(".")
        if parts[1:2] != ["services"]:
            continue
        used = {found.split(".")[2] for found in imports_of(file) if found.startswith(f"{NAME}.services.")}
        if module in shared:
            assert not used & names, module
        elif len(parts) > 2:
            assert not used & (names - {parts[2]}), module


def test_there_are_no_import_cycles() -> None:
    """Imports inside functions and for types count, too."""
    provider = {module: file for module, file in MODULES.items() if file in PROVIDER}
    edges = {
        module: {found for found in imports_of(file) if found in provider and found not in {module, NAME}}
        for module, file in provider.items()
    }
    done: set[str] = set()

    def walk(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module in done:
            return
        for other in sorted(edges[module]):
            walk(other, (*path, module))
        done.add(module)

    for module in sorted(edges):
        walk(module, ())
    assert done == set(provider)


def test_the_reader_of_imports_sees_them_all(tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    file.write_text(
        "import requests\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import aiohttp\n"
        f"def f():\n    from {NAME} import results\n    from {NAME}.hooks.base import x\n"
    )
    assert {"requests", "aiohttp", f"{NAME}.results", f"{NAME}.hooks.base"} <= imports_of(file)
