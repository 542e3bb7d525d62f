"""What makes an audit that audit: its plan and id, and whether a report is that of its tables."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue, ValidationError

import nla_ray
from nla_ray.audit.report.model import Report
from nla_ray.audit.report.write import FORMATS
from nla_ray.config.audit import AuditConfig
from nla_ray.config.detectors.packs import Packs
from nla_ray.errors import InputError
from nla_ray.ids import digest
from nla_ray.pipelines.audit.audited import Sources
from nla_ray.store.places.tree import Tree
from nla_ray.store.runs.plan import Plan
from nla_ray.text import masked_values

if TYPE_CHECKING:
    from nla_ray.pipelines.audit.embedder import Embedder

PACKAGE = Path(nla_ray.__file__).parent
DECIDING = ["audit/**/*.py", "config/audit.py", "config/detectors/*.py", "intervals.py"]
DECIDING += ["likeness.py", "pages/*.py", "text.py", "pipelines/audit/*.py"]
"""Sources that decide what an audit says; another version of them makes another audit of the same tables."""


def plan_of(
    config: AuditConfig,
    packs: Packs,
    embedder: Embedder | None,
    sources: Sources,
) -> Plan:
    """The plan of the audit's tables: its id follows from the tables, the detectors and the configuration."""
    tables: dict[str, JsonValue] = {
        name: dict(opened.runs)
        for name, opened in (
            ("audited", sources.subject),
            ("before", sources.before),
            ("benign", sources.benign),
        )
        if opened is not None
    }
    facts: dict[str, JsonValue] = {
        "audit": masked_values(config.effective()),
        "detectors_sha256": packs.fingerprint(),
        "tables": tables,
        "code": code_digest(),
    }
    identity = ["audit", code_digest(), config.fingerprint(), packs.fingerprint(), repr(tables)]
    if embedder is not None:
        record = embedder.record
        facts["models"] = {"embedder": asdict(record)}
        identity.append(record.sha256)
    audit_id = digest(*identity)[:32]
    return Plan(
        run_id=audit_id, table="rates", sides=("findings", "hits"),
        units=dict.fromkeys(sources.subject.runs), facts=facts,
    )  # fmt: skip


@cache
def code_digest() -> str:
    """Digest of the sources that decide what an audit says of given tables."""
    files = (file for name in DECIDING for file in sorted(PACKAGE.glob(name)))
    return digest(*(part for file in files for part in (file.name, file.read_text(encoding="utf-8"))))


def finished(output: Tree, record: Mapping[str, JsonValue]) -> Report | None:
    """The report of a finished audit, if it is where it was written, as it was written."""
    data = output.read("report.json")
    if data is None or hashlib.sha256(data).hexdigest() != record.get("report_sha256"):
        return None
    if not {f"report.{form}" for form in FORMATS} <= set(output.names("")):
        return None
    try:
        return Report.model_validate_json(data)
    except ValidationError:
        return None


def require_free(output: Tree, audit_id: str) -> None:
    """Raise InputError where a place holds the report of another audit."""
    data = output.read("report.json")
    if data is not None and f'"audit_id": "{audit_id}"'.encode() not in data:
        raise InputError(f"{output.url}: holds the report of another audit; name another place with -o")


def require_same(report: Report, record: Mapping[str, JsonValue], place: str) -> None:
    """Raise InputError where a report made again is not that of the tables: a judge may change its mind."""
    if report_sha256(report) != record.get("report_sha256"):
        raise InputError(
            f"{place}: holds the tables of this audit, and a judge or an embedder now answers otherwise than "
            "for them; restore judge.cache or the report, or name other results"
        )


def report_sha256(report: Report) -> str:
    """Digest of report.json."""
    return hashlib.sha256(report.json_text().encode()).hexdigest()
