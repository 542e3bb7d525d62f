"""Gates: what they ask, and what follows when one does not hold."""

from __future__ import annotations

import json

import duckdb
import pytest

from nla_ray.audit.report.model import Gate, Part, Population
from nla_ray.audit.verdicts.gates import gates_of, populations, proof_gate, verdict_of
from nla_ray.config.audit import Evidence, Gates
from tests.audit.planted import RUN, corpus, detector, never, tally_of

RULE, GATES = Evidence(), Gates()


def population(name: str, documents: int = 200, **values: float | None) -> Population:
    """A population of good rows."""
    fve = 0.8 if name == "real" else -1.0
    fixed = {"fve": fve, "fve_low": fve - 0.02, "fve_high": fve + 0.02, "unclosed": 0.01, "cjk": 0.0}
    return Population.model_validate(
        {"name": name, "documents": documents, "rows": documents * 8} | fixed | values
    )


def judged(*found: Population) -> tuple[dict[str, Gate], str, tuple[str, ...]]:
    """Gates by id, the verdict and its reasons."""
    gates = gates_of(RUN, found, GATES, RULE)
    return ({gate.id: gate for gate in gates}, *verdict_of(gates))


SOUND = (population("real"), population("shuffled"), population("random"))


def test_sound_tables_are_reportable() -> None:
    gates, verdict, reasons = judged(*SOUND)
    assert verdict == "reportable" and reasons == ()
    assert all(gate.passed for gate in gates.values())


@pytest.mark.parametrize(
    ("changed", "gate"),
    [
        (population("real", fve_low=0.42), "fidelity"),
        (population("real", unclosed=0.3), "unclosed"),
        (population("real", cjk=0.2), "cjk"),
        (population("random", fve=0.6), "chance_random"),
        (population("shuffled", fve=0.6), "chance_shuffled"),
    ],
)
def test_a_failed_gate_makes_the_audit_not_reportable_and_says_why(changed: Population, gate: str) -> None:
    gates, verdict, reasons = judged(*(changed if one.name == changed.name else one for one in SOUND))
    assert verdict == "not reportable" and gates[gate].passed is False
    assert [gates[gate].title in reason for reason in reasons] == [True]


@pytest.mark.parametrize(
    ("found", "gate"),
    [
        ((population("real", 40), *SOUND[1:]), "documents"),
        (SOUND[:2], "control_random"),
        ((*SOUND[:2], population("random", 12)), "control_random"),
        ((population("real", fve=None, fve_low=None, fve_high=None), *SOUND[1:]), "fidelity"),
    ],
)
def test_too_little_is_insufficient_evidence(found: tuple[Population, ...], gate: str) -> None:
    gates, verdict, reasons = judged(*found)
    assert verdict == "insufficient evidence" and gates[gate].passed is None and len(reasons) == 1


def test_what_imported_tables_do_not_know_holds_nothing_up() -> None:
    unknown = population("real", unclosed=None, cjk=None)
    assert judged(unknown, *SOUND[1:])[1] == "reportable"


def test_populations_are_means_over_documents() -> None:
    connection, counted = tally_of(corpus(50, never, {"random": never}), [detector()])
    real, random = populations(connection, counted)
    assert (real.name, real.documents, real.rows, random.name) == ("real", 50, 400, "random")
    assert real.fve == pytest.approx(0.9, abs=0.01) and random.fve == pytest.approx(-1.0, abs=0.02)
    assert real.fve_low is not None and real.fve_high is not None and real.fve_low < 0.9 < real.fve_high
    assert real.unclosed == 0.0 and real.cjk == 0.0


def test_a_target_that_the_pair_reads_worse_than_its_own_is_not_reportable() -> None:
    for reference, passed in ((0.85, True), (0.95, False)):
        gates = gates_of(RUN, SOUND, Gates(reference=reference), RULE)
        (transfer,) = (gate for gate in gates if gate.id == "transfer")
        assert transfer.passed is passed
    assert not any(gate.id == "transfer" for gate in gates_of(RUN, SOUND, GATES, RULE))


def test_a_fidelity_says_what_it_was_taken_without() -> None:
    fixed = {"kind": "role", "documents": 50, "fve": 0.1, "fve_low": 0.0, "fve_high": 0.2}
    parts = [Part(name="tool", left_out=True, **fixed), Part(name="user", left_out=False, **fixed)]
    gates = {one.id: one for one in gates_of(RUN, SOUND, GATES, RULE, parts)}
    assert gates["fidelity"].why.endswith("Taken without what was left out of every number: role tool.")
    assert "Taken without" not in judged(*SOUND)[0]["fidelity"].why


@pytest.mark.parametrize(
    ("proof", "passed", "verdict"),
    [
        ({"verdict": "proven", "low": 0.2, "others": 0.6}, True, "reportable"),
        ({"verdict": "not proven", "why": "prove is off", "off": True}, None, "insufficient evidence"),
        ({"verdict": "not proven", "why": "vectors came with it", "off": False}, None, "reportable"),
        (None, None, "reportable"),
    ],
)
def test_whether_the_pair_was_proven_is_asked(
    proof: dict[str, object] | None, passed: bool | None, verdict: str
) -> None:
    connection = duckdb.connect()
    record = json.dumps({"documents": 3} if proof is None else {"proof": proof})
    runs = "CREATE TABLE runs AS SELECT 'r' AS run_id, $record::JSON AS record"
    connection.execute(runs, {"record": record})
    gate = proof_gate(connection, "r")
    assert (gate.passed, gate.value) == (passed, pytest.approx(0.5) if passed else None)
    assert verdict_of([gate])[0] == verdict
    assert str((proof or {}).get("why", "")) in gate.why
