"""Write the schema files that follow from the code: `make schemas`. A test fails where they differ."""

from __future__ import annotations

import json
from pathlib import Path

from nla_ray.audit.report.model import Report
from nla_ray.config.audit import AuditConfig
from nla_ray.config.base import Config
from nla_ray.config.decode import DecodeFile
from nla_ray.config.detectors.model import Pack
from nla_ray.config.evaluate import EvaluateConfig
from nla_ray.config.pairs.known import KnownPairs
from nla_ray.config.sweep import SweepConfig
from nla_ray.config.training.train import TrainConfig
from nla_ray.config.training.training_set import TrainingSetConfig
from nla_ray.evaluation.model import Evaluation
from nla_ray.fleet.report.model import FleetReport
from nla_ray.store.runs.manifest import Manifest
from nla_ray.store.runs.plan import Plan
from nla_ray.store.runs.training_set import TrainingSet
from nla_ray.tables import FILES, INDEX, SCHEMAS, ddl

FOLDER = Path(__file__).parent


def render() -> dict[str, str]:
    """Content of every schema file by name."""
    return {
        "audit.schema.json": json_schema(AuditConfig),
        "decode.schema.json": json_schema(DecodeFile),
        "evaluate.schema.json": json_schema(EvaluateConfig),
        "evaluation.schema.json": json_schema(Evaluation),
        "detector.schema.json": json_schema(Pack),
        "manifest.schema.json": json_schema(Manifest),
        "pairs.schema.json": json_schema(KnownPairs),
        "plan.schema.json": json_schema(Plan),
        "report.schema.json": json_schema(Report),
        "sweep.schema.json": json_schema(SweepConfig),
        "sweep_report.schema.json": json_schema(FleetReport),
        "train.schema.json": json_schema(TrainConfig),
        "training_set.schema.json": json_schema(TrainingSetConfig),
        "training_set_manifest.schema.json": json_schema(TrainingSet),
    } | {f"{name}.sql": ddl(schema) for name, schema in (SCHEMAS | {"files": FILES, "index": INDEX}).items()}


def json_schema(model: type[Config]) -> str:
    """JSON Schema of a model, as a file."""
    schema = model.model_json_schema() | {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name, content in render().items():
        (FOLDER / name).write_text(content, encoding="utf-8")
