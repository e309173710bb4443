"""What importing rnnlib costs: NumPy, and nothing that is slow to load."""

import subprocess
import sys

HEAVY = "torch", "matplotlib", "IPython", "ipywidgets", "keras", "onnx", "mlflow", "pandas", "tokenizers", "sklearn"
CORE = "rnnlib, " + ", ".join(
    f"rnnlib.{room}"
    for room in (
        "recurrent",
        "layers",
        "attention",
        "losses",
        "init",
        "optim",
        "gradcheck",
        "data.datasets",
        "models",
        "metrics",
        "training",
        "probes",
    )
)


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


def test_importing_the_core_loads_neither_torch_nor_matplotlib():
    done = python(f"import sys, {CORE}; print([name for name in {HEAVY} if name in sys.modules])")
    assert done.stdout == "[]\n", done.stderr


def test_torchref_without_torch_names_the_extra():
    done = python("import sys; sys.modules['torch'] = None; import rnnlib.torchref")
    assert done.returncode == 1
    assert 'ImportError: rnnlib.torchref needs torch: pip install "rnn-notebooks[torch]"' in done.stderr
