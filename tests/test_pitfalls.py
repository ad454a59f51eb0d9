"""Each numbered pitfall of the services has a test that names it, or a stated reason why it has none."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_jobs import sandbox, services
from tests.pitfalls import ABSENT, DATAFINITI, FIRECRAWL

HERE = Path(__file__).parent
KNOWN = FIRECRAWL | DATAFINITI


def calls(node: ast.AST) -> Iterator[ast.Call]:
    """All uses of the mark below a node, whatever else is done with them."""
    for found in ast.walk(node):
        if isinstance(found, ast.Call) and ast.unparse(found.func).endswith("mark.pitfall"):
            yield found


def of_tests(tree: ast.Module) -> Iterator[ast.Call]:
    """The uses that pytest turns into marks of a test."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if node.name.casefold().startswith("test"):
                for decorator in node.decorator_list:
                    yield from calls(decorator)
        elif isinstance(node, ast.Assign) and any(ast.unparse(target) == "pytestmark" for target in node.targets):
            yield from calls(node.value)


def names(call: ast.Call, where: str) -> list[str]:
    """The numbers that a mark names."""
    told = [value.value for value in call.args if isinstance(value, ast.Constant) and isinstance(value.value, str)]
    assert told, f"{where}: the mark names nothing"
    assert len(told) == len(call.args) + len(call.keywords), f"{where}: numbers are written out as texts"
    return told


def marked(root: Path) -> dict[str, list[str]]:
    """The tests of each number, read from the files below a folder without importing them.

    :raises AssertionError: a mark is on something that is no test, or names something else than numbers.
    """
    found: dict[str, list[str]] = {}
    for file in sorted(root.rglob("*.py")):
        text = file.read_text("utf-8")
        if "pitfall" not in text:
            continue
        tree = ast.parse(text)
        is_read_by_pytest = file.name.startswith("test_")
        tested = {id(call) for call in of_tests(tree)} if is_read_by_pytest else set()
        for call in calls(tree):
            where = f"{file.relative_to(root)}:{call.lineno}"
            assert id(call) in tested, f"{where}: marks something that is no test"
            for name in names(call, where):
                found.setdefault(name, []).append(where)
    return found


def objections(tests: dict[str, list[str]], known: dict[str, str], absent: dict[str, str]) -> list[str]:
    """What is wrong with the marks."""
    told = [f"{name} is no pitfall, marked at {places}" for name, places in tests.items() if name not in known]
    told += [f"{name} has no line of its own" for name, line in known.items() if not line.strip()]
    for name, reason in absent.items():
        if name not in known:
            told.append(f"{name} is said to have no test, and is no pitfall")
        if name in tests:
            told.append(f"{name} is said to have no test, and has one at {tests[name]}")
        if len(reason.split()) < 5:
            told.append(f"{name} is absent without a reason")
    told += [f"{name} has no test: {line}" for name, line in known.items() if name not in tests and name not in absent]
    return told


def test_each_pitfall_has_a_test_or_a_reason() -> None:
    assert objections(marked(HERE), KNOWN, ABSENT) == []


def test_the_numbers_have_no_gap() -> None:
    assert list(FIRECRAWL) == [f"F{number}" for number in range(1, 49)]
    assert list(DATAFINITI) == [f"DF{number}" for number in range(1, 23)]


def test_webhooks_are_an_option_of_the_services_and_nothing_else() -> None:
    """The reason for which F38 has no test."""
    package = Path(services.__file__).parent.parent
    allowed = [Path(services.__file__).parent, Path(sandbox.__file__).parent]
    speaking = [file for file in package.rglob("*.py") if "webhook" in file.read_text("utf-8").casefold()]
    assert speaking, "the option is known"
    assert [file for file in speaking if not any(file.is_relative_to(folder) for folder in allowed)] == []


# --- the check itself -------------------------------------------------------------------------------------------

GOOD = """
import pytest
pytestmark = pytest.mark.pitfall("F1")

@pytest.mark.pitfall("F2", "F3")
def test_one(): ...

class TestMore:
    @pytest.mark.parametrize("a", [1, pytest.param(2, marks=pytest.mark.pitfall("F4"))])
    async def test_two(self, a): ...
"""


def test_marks_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    (folder / "test_it.py").write_text(GOOD)
    (folder / "helper.py").write_text('"""Nothing about a pitfall."""')
    assert marked(tmp_path) == {
        "F1": ["deep/test_it.py:3"],
        "F2": ["deep/test_it.py:5"],
        "F3": ["deep/test_it.py:5"],
        "F4": ["deep/test_it.py:9"],
    }


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("helper.py", '@pytest.mark.pitfall("F1")\ndef test_it(): ...', "no test"),
        ("test_it.py", '@pytest.mark.pitfall("F1")\ndef helper(): ...', "no test"),
        ("test_it.py", 'BOTH = pytest.mark.pitfall("F1")', "no test"),
        ("test_it.py", "@pytest.mark.pitfall()\ndef test_it(): ...", "names nothing"),
        ("test_it.py", '@pytest.mark.pitfall("F1", NAME)\ndef test_it(): ...', "written out"),
        ("test_it.py", '@pytest.mark.pitfall("F1", why="x")\ndef test_it(): ...', "written out"),
    ],
)
def test_marks_that_mark_nothing_are_found(tmp_path: Path, file: str, content: str, told: str) -> None:
    (tmp_path / file).write_text(content)
    with pytest.raises(AssertionError, match=told):
        marked(tmp_path)


REASON = "there is no such thing in this package"


@pytest.mark.parametrize(
    ("tests", "absent", "told"),
    [
        (["F1", "F2"], {}, None),
        (["F1"], {"F2": REASON}, None),
        (["F1"], {}, "F2 has no test: two"),
        (["F1", "F2", "F49"], {}, "F49 is no pitfall"),
        (["F1", "F2"], {"F2": REASON}, "F2 is said to have no test, and has one"),
        (["F1"], {"F2": ""}, "without a reason"),
        (["F1"], {"F2": "not used"}, "without a reason"),
        (["F1", "F2"], {"F50": REASON}, "F50 is said to have no test, and is no pitfall"),
    ],
)
def test_what_is_wrong_is_told(tests: list[str], absent: dict[str, str], told: str | None) -> None:
    found = objections({name: ["test_it.py:1"] for name in tests}, {"F1": "one", "F2": "two"}, absent)
    assert (len(found) == 1 and told in found[0]) if told else found == []
