"""Every figure this project states, by one command: `python benchmarks`. Tables on screen, JSON in build/benchmarks.

Each benchmark is a script of its own and runs alone: `python benchmarks/core.py`. A name or two run only those.
"""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SCRIPTS = "parity", "core", "memory", "imports", "torchref", "latency", "explorers", "grading", "attacks"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, prog="python benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SCRIPTS)}; all if none is given")
    parser.add_argument("--out", type=Path, default=HERE.parent / "build/benchmarks", help="folder for the JSON files")
    options = parser.parse_args()
    unknown = set(options.names) - set(SCRIPTS)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}: expected some of {', '.join(SCRIPTS)}")
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.names or SCRIPTS:
        target = options.out / f"{name}.json"
        target.unlink(missing_ok=True)
        print(f"\n== {name}", flush=True)
        subprocess.run([sys.executable, HERE / f"{name}.py", "--json", target], check=True)


if __name__ == "__main__":
    main()
