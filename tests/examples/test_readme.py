"""What the README gives to copy works."""

import re
import runpy

import pytest
from airflow.sdk import DAG

from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)


def test_dag_to_copy_is_an_example() -> None:
    """Identical to a file that `test_examples.py` runs against the sandbox, in a real Airflow."""
    (dag,) = [text for language, text in BLOCKS if language == "python"]
    (link,) = set(re.findall(r"\]\((example_dags/\w+\.py)\)", README))
    assert dag == (ROOT / link).read_text()


@pytest.mark.parametrize("path", sorted((ROOT / "example_dags").glob("*.py")), ids=lambda path: path.stem)
def test_example_can_be_imported_alone(path) -> None:
    (dag,) = {id(value): value for value in runpy.run_path(str(path)).values() if isinstance(value, DAG)}.values()
    assert dag.dag_id == path.stem


def test_commands_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:^|`)make ([a-z]+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
