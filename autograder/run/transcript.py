"""Reads what a submission's process wrote about its cells. Nothing in it is believed but its form.

Whatever comes, the result is nbformat-4 outputs made of text, numbers and plain containers: the rest is dropped.
"""

from __future__ import annotations

import json
import math
from typing import Any

from autograder.run.outcome import CellRun

OUTPUTS_PER_CELL = 300


def read(data: bytes, cells: int) -> tuple[list[CellRun], bool]:
    """The cells that reported, in order: at most `cells`, none after the first report that is not one.

    Returns:
        The cells, and whether every report was one.
    """
    runs: list[CellRun] = []
    for line in data.split(b"\n")[:-1][:cells]:
        record = _parse(line, len(runs))
        if record is None:
            return runs, False
        runs.append(record)
    return runs, True


def _parse(line: bytes, number: int) -> CellRun | None:
    try:
        return _cell_run(json.loads(line.decode("utf-8", "replace")), number)
    except (ValueError, RecursionError):
        return None


def _cell_run(record: Any, number: int) -> CellRun | None:
    if not isinstance(record, dict) or record.get("cell") != number or not isinstance(record.get("outputs"), list):
        return None
    error, seconds = record.get("error"), record.get("seconds")
    outputs = [_output(output) for output in record["outputs"][:OUTPUTS_PER_CELL]]
    return CellRun(
        outputs=[output for output in outputs if output is not None],
        error=None if error is None else _text(error)[:3000],
        seconds=seconds if isinstance(seconds, float) and math.isfinite(seconds) else 0.0,
    )


def _output(output: Any) -> dict[str, Any] | None:
    if not isinstance(output, dict):
        return None
    kind = output.get("output_type")
    if kind == "stream":
        name = "stderr" if output.get("name") == "stderr" else "stdout"
        return {"output_type": kind, "name": name, "text": _text(output.get("text"))}
    if kind == "error":
        lines = output.get("traceback")
        return {
            "output_type": kind,
            "ename": _text(output.get("ename")),
            "evalue": _text(output.get("evalue")),
            "traceback": [_text(line) for line in lines] if isinstance(lines, list) else [],
        }
    if kind not in ("execute_result", "display_data") or not isinstance(output.get("data"), dict):
        return None
    shown: dict[str, Any] = {"output_type": kind, "data": _bundle(output["data"]), "metadata": {}}
    if kind == "execute_result":
        count = output.get("execution_count")
        shown["execution_count"] = count if type(count) is int and 0 <= count < 1_000_000 else None
    return shown


def _bundle(data: dict[str, Any]) -> dict[str, Any]:
    """Keep text, and containers where the MIME type says JSON."""
    kept: dict[str, Any] = {}
    for mime, value in data.items():
        if isinstance(value, str):
            kept[_text(mime)] = _text(value)
        elif mime.endswith("json"):
            kept[_text(mime)] = _cleaned(value)
    return kept


def _cleaned(value: Any) -> Any:
    """JSON whose every string UTF-8 can hold: an escape may spell half a character."""
    if isinstance(value, dict):
        return {_text(key): _cleaned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    return _text(value) if isinstance(value, str) else value


def _text(value: Any) -> str:
    """A str that UTF-8 can hold."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""
