"""Print what constraints.txt should hold: the versions in this environment, without addresses."""

import re
import sys
from importlib.metadata import distributions

LEFT_OUT = {"pip", "setuptools", "wheel", "airflow-provider-jobs"}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    python = ".".join(map(str, sys.version_info[:2]))
    print(f"# The versions that development, tests and the demo run with (Python {python}).")
    print("# Renew: make constraints")
    pins = {dist.name: dist.version for dist in distributions() if dist.name.lower() not in LEFT_OUT}
    for name in sorted(pins, key=canonical):
        print(f"{name}=={pins[name]}")


if __name__ == "__main__":
    main()
