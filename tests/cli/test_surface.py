"""The surface that users write scripts against: a change here is a decision."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import typer

from nla_ray import __version__, tables
from nla_ray.cli import app
from tests.cli.conftest import Invoke

ROOT = Path(__file__).parents[2]

OPTIONS = {
    "audit": [],
    "check": ["av", "ar", "--target", "--injection", "--pair", "--prove", "--trust-remote-code"],
    "convert-head": ["pickle", "--to"],
    "decode": ["config", "overrides", "--add", "--dry-run"],
    "demo-train": ["--out", "--steps", "--seed"],
    "evaluate": ["config", "overrides"],
    "export": ["tables", "--to", "--format", "--runs", "--where", "--activations", "--delta"],
    "import": [
        "files",
        "--to",
        "--format",
        "--run-name",
        "--layer",
        "--target",
        "--av",
        "--ar",
        "--control",
        "--activations",
        "--redact",
    ],
    "review": [
        "config",
        "overrides",
        "-r",
        "-d",
        "--each",
        "--seed",
        "--page",
        "--sheet",
        "--labels",
        "--results",
    ],
    "show": ["tables", "--doc", "--run", "--control", "--sample", "--width"],
    "sign": ["report", "--key"],
    "sql": [
        "tables",
        "sql",
        "-f",
        "--format",
        "-o",
        "--runs",
        "--label",
        "--force",
        "--timeout",
        "--memory",
        "--max-rows",
        "--max-bytes",
    ],
    "sweep": [],
    "train": ["config", "overrides", "--dry-run"],
    "training-set": ["config", "overrides", "--dry-run"],
    "verify": ["place", "--signers"],
}

_WEEK = ["sweep", "overrides", "--week"]
SWEEP = {
    "abandon": ["tables", "run_id", "--because", "--json"],
    "compact": ["tables", "run_ids", "--target-mb", "--json"],
    "gc": ["tables", "--yes", "--days", "--superseded-weeks", "--abandon-days", "--damaged", "--json"],
    "plan": [*_WEEK, "--no-measure", "--json"],
    "report": [*_WEEK, "--json"],
    "resume": [*_WEEK, "--cell", "--json"],
    "retry-failed": [*_WEEK, "--cell", "--json"],
    "run": [*_WEEK, "--cell", "--again", "--json"],
    "status": [*_WEEK, "--json"],
}

NAMES = {
    "nla_ray.errors": [
        "CheckpointError", "ConfigError", "DamagedTablesError", "EngineError", "Exit", "InputError",
        "NlaError", "NoCheckpointError", "NoFileError", "OverBudgetError", "TrainingError",
        "UnreachableError",
    ],
    "nla_ray.ids": ["Beginning", "digest", "row_id", "rows_of", "sample_positions", "sampling_key"],
    "nla_ray.config.models.reference": ["ModelRef", "local_path"],
    "nla_ray.config.decode": [
        "Baseline", "Controls", "DecodeConfig", "DecodeFile", "DecodePolicy", "Decoding", "Engine",
        "LayerPair", "LayeredModels", "Models", "PairParts", "Reference", "Sampling",
    ],
    "nla_ray.config.runner": ["Pool", "Pools", "Runner", "Share"],
    "nla_ray.config.base": ["Address", "Config", "EnvName", "Name", "OrText", "Place", "Spelled"],
    "nla_ray.config.reading.chats": ["Chats", "Dropped", "Transcripts"],
    "nla_ray.config.reading.corpus": [
        "Continuation", "Corpus", "FILE", "LONGEST", "Names", "Vectors", "Window",
    ],
    "nla_ray.config.reading.positions": ["Choice", "FORMS", "LABELS", "Positions", "keys_of"],
    "nla_ray.nla.verbalizer": [
        "Answer", "FinishReason", "Generation", "Request", "Sampling", "Steps", "Verbalizer",
    ],
}  # fmt: skip


def test_commands_and_their_options() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    found = {
        name: [option.opts[0] for option in command.params if option.name != "help"]
        for name, command in commands.items()
    }
    assert found == OPTIONS
    of_sweeps = commands["sweep"].commands
    assert {name: [one.opts[0] for one in command.params] for name, command in of_sweeps.items()} == SWEEP


def test_the_version_and_a_short_help_everywhere(invoke: Invoke) -> None:
    assert invoke("--version").out == f"nla-ray {__version__}\n"
    groups = [["audit", "run"], ["audit", "diff"], *(["sweep", name] for name in SWEEP)]
    for command in ([], *([name] for name in OPTIONS), *groups):
        short, long = (invoke(*command, flag) for flag in ("-h", "--help"))
        assert (short.code, short.out, short.err) == (0, long.out, "") and "-h" in long.out


def test_tables() -> None:
    assert sorted(tables.SCHEMAS) == [
        "activations", "documents", "explanations", "findings", "hits", "quarantine", "rates", "reviews",
    ]  # fmt: skip


def test_public_names() -> None:
    found = {module: defined_names(module) for module in NAMES}
    assert found == {module: sorted(names) for module, names in NAMES.items()}


def defined_names(module: str) -> list[str]:
    """Names that a module itself defines at its top level, without the private ones."""
    source = (ROOT / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8")
    names: set[str] = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {
                part.id for target in node.targets for part in ast.walk(target) if isinstance(part, ast.Name)
            }
    return sorted(name for name in names if not name.startswith("_"))


def test_the_package_runs_as_a_module() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "nla_ray", "--help"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0 and "demo-train" in ended.stdout


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from nla_ray.cli import app; from nla_ray.cli.entry import run\n"
        "try: run(app, ['--help'])\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0 and "decode" in ended.stdout
    assert not {"torch", "ray", "transformers", "pyarrow"} & set(ended.stderr.split())
