"""What every benchmark shares: random models of a stated shape, interleaved timing, and results as JSON."""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from nla_ray import __version__
from nla_ray.nla.model.backbone import alone

RESULTS = Path(__file__).parent / "results"

PRESETS: dict[str, dict[str, Any]] = {
    "1m": {
        "vocab_size": 2048,
        "hidden_size": 128,
        "intermediate_size": 384,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
    "19m": {
        "vocab_size": 8192,
        "hidden_size": 384,
        "intermediate_size": 1024,
        "num_hidden_layers": 8,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
    },
    "qwen2.5-7b": {
        "vocab_size": 152064,
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
    },
}
"""Qwen2 shapes, filled with random weights: speed does not depend on what the weights say."""


def random_checkpoint(preset: str, directory: Path, *, dtype: torch.dtype, device: str) -> Path:
    """Save a random model of a preset as safetensors; an existing one is kept."""
    if (directory / "config.json").is_file():
        return directory
    config = Qwen2Config(**PRESETS[preset], max_position_embeddings=4096, dtype=dtype)
    torch.manual_seed(0)
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            model = Qwen2ForCausalLM(config)
    finally:
        torch.set_default_dtype(default)
    with alone():
        model.save_pretrained(directory)
    return directory


def interleave(
    sides: Mapping[str, Callable[[], object]],
    repeats: int,
    clock: Callable[[], float] = time.perf_counter,
    *,
    warm: bool = True,
) -> dict[str, list[float]]:
    """Seconds per call of each side, after one call each to `warm` up; the order turns round every repeat.

    Slow drifts of the machine then hit all sides alike, and ratios within a repeat are fair.
    """
    for side in sides.values() if warm else ():
        side()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(repeats):
        for name in list(sides)[:: 1 if repeat % 2 == 0 else -1]:
            seconds[name].append(_timed(sides[name], clock))
    return seconds


def spread(values: list[float]) -> dict[str, float | int]:
    """Mean, standard deviation, extremes and count."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {
        "mean": statistics.fmean(values),
        "sd": deviation,
        "min": min(values),
        "max": max(values),
        "n": len(values),
    }


def paired_ratio(ours: list[float], peer: list[float]) -> dict[str, float | int]:
    """How many times faster ours is: spread of peer seconds over our seconds, repeat by repeat."""
    return spread([theirs / mine for mine, theirs in zip(ours, peer, strict=True)])


def hardware(device: str) -> str:
    """Short name of what ran it, usable in a file name: `nvidia-h100-80gb-hbm3`, `cpu-2`."""
    if device.startswith("cuda"):
        return re.sub(r"[^a-z0-9]+", "-", torch.cuda.get_device_name(device).lower()).strip("-")
    return f"cpu-{torch.get_num_threads()}"


def environment(device: str) -> dict[str, Any]:
    """Versions and hardware of this run; a load above the threads means that others ran beside it."""
    return {
        "hardware": hardware(device),
        "cpu": _cpu_model(),
        "torch_threads": torch.get_num_threads(),
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("torch", "transformers", "numpy")}
        | {"nla_ray": __version__},
        "commit": _commit(),
    }


def write_result(question: str, device: str, payload: Mapping[str, Any], label: str = "") -> Path:
    """Write `benchmarks/results/{question}[-{label}]-{hardware}.json` and print it."""
    name = "-".join(part for part in (question, label, hardware(device)) if part)
    path = RESULTS / f"{name}.json"
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({"question": question, **payload, "environment": environment(device)}, indent=2)
    path.write_text(text + "\n", encoding="utf-8")
    print(text)
    return path


def _timed(call: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock() - start


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*:\s*(.+)", info.read_text()) if info.is_file() else []
    return names[0] if names else platform.processor()


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"
