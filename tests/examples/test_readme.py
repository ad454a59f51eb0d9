"""What the README gives to copy works."""

import re
import runpy
from pathlib import Path

import pytest
from airflow.exceptions import AirflowProviderDeprecationWarning
from airflow.sdk import DAG

from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)
EXAMPLES = sorted((ROOT / "example_dags").glob("*.py"))
DEPRECATED = {"firecrawl_extract"}


def test_dag_to_copy_is_an_example() -> None:
    """Identical to a file that `test_examples.py` runs against the sandbox, in a real Airflow."""
    (dag,) = [text for language, text in BLOCKS if language == "python"]
    (link,) = set(re.findall(r"\]\((example_dags/\w+\.py)\)", README))
    assert dag == (ROOT / link).read_text()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_can_be_imported_alone(path: Path, recwarn: pytest.WarningsRecorder) -> None:
    (dag,) = {id(value): value for value in runpy.run_path(str(path)).values() if isinstance(value, DAG)}.values()
    assert dag.dag_id == path.stem
    warned = [str(warning.message) for warning in recwarn if warning.category is AirflowProviderDeprecationWarning]
    if path.stem in DEPRECATED:
        assert len(warned) == 1
        assert "2026-12-10 15:00 UTC" in warned[0]
    else:
        assert warned == []


@pytest.mark.parametrize("name", sorted(DEPRECATED))
def test_deprecated_example_warns_also_where_warnings_are_errors(name: str) -> None:
    with pytest.warns(AirflowProviderDeprecationWarning, match="FirecrawlAgentOperator"):
        runpy.run_path(str(ROOT / "example_dags" / f"{name}.py"))


def test_commands_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:^|`)make ([a-z]+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
