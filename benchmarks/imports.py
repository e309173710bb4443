"""Time to import rnnlib, against NumPy alone, each in fresh processes taken in turn: `python benchmarks/imports.py`."""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

MODULES = {
    "numpy": "import numpy",
    "rnnlib": "import rnnlib",
    "rnnlib.recurrent": "import rnnlib.recurrent",
    "everything but torch and pictures": (
        "import rnnlib.recurrent, rnnlib.layers, rnnlib.attention, rnnlib.losses, rnnlib.optim, rnnlib.gradcheck, "
        "rnnlib.data, rnnlib.models, rnnlib.metrics, rnnlib.training, rnnlib.probes"
    ),
}


def seconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    bare, times = [], {name: list[float]() for name in MODULES}
    for _ in range(options.rounds):
        bare.append(seconds("pass"))
        for name, code in MODULES.items():
            times[name].append(seconds(code))
    start = statistics.median(bare)
    own = {name: statistics.median(values) - start for name, values in times.items()}
    print("import, above an empty interpreter\n      ms  / numpy")
    for name, value in own.items():
        print(f"{1e3 * value:8.1f} {value / own['numpy']:8.2f}  {name}")
    if options.json:
        options.json.write_text(json.dumps(own, indent=1) + "\n")


if __name__ == "__main__":
    main()
