"""Plans: units whose rows only the run can count, and other runs in the same place."""

from __future__ import annotations

import hashlib
import json

import pytest

from nla_ray.errors import ConfigError, EngineError, InputError
from nla_ray.store import open_run, open_store, verify
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.layout import plan_key
from nla_ray.store.runs.plan import Plan, get_plan, other_plans
from nla_ray.store.runs.run import Run
from nla_ray.store.runs.unit_file import QuarantinedRow, to_bytes, unit_facts
from tests.store.rows import RECORD, plan_of, rows_of

POISON = QuarantinedRow("u0-3", 0, "doc", None, "real", "poison")


def uncounted(place: str) -> Run:
    plan = plan_of(units=2)
    return open_run(open_store(place), plan.model_copy(update={"units": {"u0": None, "u1": 4}}))


def test_rows_that_only_the_run_can_count(place: str) -> None:
    run = uncounted(place)
    written = [run.write("u0", rows_of("u0", n=3), [POISON], planned=4), run.write("u1", rows_of("u1"))]
    assert run.commit(RECORD, written).rows == 7
    assert verify(place) == []


def test_counted_and_made_rows_must_be_equal(tmp_path: str) -> None:
    run = uncounted(tmp_path)
    with pytest.raises(EngineError, match="3 rows were made where 4 were planned"):
        run.write("u0", rows_of("u0", n=3), planned=4)
    with pytest.raises(EngineError, match="3 rows were counted where the plan has 4"):
        run.write("u1", rows_of("u1", n=3), planned=3)


def test_a_commit_refuses_a_unit_with_other_rows_than_its_writer_counted(place: str) -> None:
    run = uncounted(place)
    facts = unit_facts(run.ref.plan_sha256, "run1", "u0", planned=4)
    run.store.put_new(run.ref.key("u0"), to_bytes(rows_of("u0", n=3), facts))
    run.write("u1", rows_of("u1"))
    with pytest.raises(InputError, match="3 rows and 0 in quarantine where 4 were planned"):
        run.commit(RECORD)


def test_tallies_of_all_attempts_are_there(place: str) -> None:
    """A resumed run adds up what an earlier attempt counted; a large tally is no trouble."""
    large = {"sums": [index / 7 for index in range(6000)]}
    begun = open_run(open_store(place), plan_of())
    begun.write("u1", rows_of("u1"), tally={"seconds": {"extract": 1.5}} | large)
    resumed = open_run(open_store(place), plan_of())
    for number, unit_id in enumerate(resumed.missing()):
        resumed.write(unit_id, rows_of(unit_id), tally={"n": number})
    assert list(resumed.tallies()) == [{"n": 0}, {"seconds": {"extract": 1.5}} | large, {"n": 1}]


@pytest.mark.parametrize("value", [float("nan"), b"bytes"])
def test_a_tally_is_json(tmp_path: str, value: object) -> None:
    run = open_run(open_store(tmp_path), plan_of())
    with pytest.raises(EngineError, match="unit u0: its tally is not JSON"):
        run.write("u0", rows_of("u0"), tally={"value": value})  # type: ignore[dict-item]
    assert run.missing() == ["u0", "u1", "u2"]


def asked(temperature: float = 1.0, corpus: str = "c" * 64, **more: object) -> dict[str, object]:
    config = {"sampling": {"temperature": temperature}, "output": "here"}
    return {"config": config, "corpus": {"sha256": corpus}, "fingerprint": str(temperature), **more}


def begun(store: Store, plan: Plan) -> None:
    """A run of which one unit is there."""
    open_run(store, plan, add=True).write("u0", rows_of("u0", plan.run_id))


def test_another_plan_in_the_place_is_refused_by_the_keys_that_differ(place: str) -> None:
    store = open_store(place)
    begun(store, plan_of("far", **asked(0.2, "d" * 64, device="cuda")))  # type: ignore[arg-type]
    begun(store, plan_of("near", **asked(0.7)))  # type: ignore[arg-type]
    before = store.entries("")
    with pytest.raises(ConfigError) as caught:
        open_run(store, plan_of("mine", **asked()))  # type: ignore[arg-type]
    assert str(caught.value) == (
        f"{place}: output holds another plan, run near (the nearest of 2); it differs in "
        "config.sampling.temperature (0.7 there, 1.0 here): give its config to continue it, name another "
        "output, or pass --add to keep several runs in one place"
    )
    assert store.entries("") == before
    assert [plan.run_id for plan in other_plans(store, plan_of("mine", **asked()))] == ["near", "far"]  # type: ignore[arg-type]
    open_run(store, plan_of("mine", **asked()), add=True)  # type: ignore[arg-type]
    open_run(store, plan_of("mine", **asked()))  # type: ignore[arg-type]


def test_long_values_are_shortened(tmp_path: str) -> None:
    begun(open_store(tmp_path), plan_of("other", **asked(corpus="d" * 64)))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r'corpus.sha256 \("d{38}… there, "c{38}… here\)'):
        open_run(open_store(tmp_path), plan_of("mine", **asked()))  # type: ignore[arg-type]


def test_runs_of_other_tables_are_no_obstacle(tmp_path: str) -> None:
    def notes(run_id: str) -> Plan:
        return plan_of(run_id).model_copy(update={"table": "notes"})

    for plan in (notes("audit1"), notes("audit2"), plan_of("run1"), notes("audit3")):
        open_run(open_store(tmp_path), plan)


@pytest.mark.parametrize("labels", [{}, {"week": "2026-W01", "model": "m"}])
def test_stored_plans_are_json_with_sorted_keys(labels: dict[str, str]) -> None:
    """The bytes are those of `json`, so that plans that were written before keep their digests."""
    units = {"u10": 4, "u1": None, "u1-a": 0, "U1": 1, "u1.b": 2, "u1_c": 3, "9": 10**12}
    plan = plan_of(said='an "units":{} of é').model_copy(update={"units": units, "labels": labels})

    def written(values: object) -> bytes:
        return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()

    assert plan.to_bytes() == written(plan.effective() | ({"labels": labels} if labels else {}))
    assert plan.sha256() == hashlib.sha256(written(plan.effective())).hexdigest()
    assert Plan.model_validate_json(plan.to_bytes()) == plan


def test_an_equal_plan_of_other_bytes_is_as_good(place: str) -> None:
    """Another attempt goes on whether or not it found the very bytes that it would have written."""
    store, plan = open_store(place), plan_of()
    store.put_new(plan_key(plan.run_id), json.dumps(plan.effective(), indent=1).encode())
    assert not open_run(store, plan).first


def labelled(run_id: str = "run1", **labels: str) -> Plan:
    return plan_of(run_id).model_copy(update={"labels": labels})


def test_labels_are_kept_and_are_no_part_of_a_run(place: str) -> None:
    """A run that serves a second week is the one that it was, under the first week's name."""
    first, again = labelled(week="2026-W01", model="m"), labelled(week="2026-W02")
    assert first.sha256() == again.sha256() == plan_of().sha256()
    open_run(open_store(place), first)
    open_run(open_store(place), again)
    assert get_plan(open_store(place), "run1") == first


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"owner": "me"}, "owner is no label; there are sweep, week, model, base, corpus, layer"),
        ({"week": ""}, "at least 1 character"),
        ({"week": "1\n2"}, "match pattern"),
    ],
)
def test_labels_are_known_words(labels: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Plan(run_id="run1", units={}, facts={}, labels=labels)
