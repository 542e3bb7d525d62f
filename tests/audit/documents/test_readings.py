"""What comparisons draw from, where a detector is about other rows than the rest."""

from __future__ import annotations

from nla_ray.audit.documents.readings import readings
from nla_ray.audit.tally import tally
from nla_ray.config.audit import Evidence
from nla_ray.tables import REAL
from tests.audit.planted import RUN, connection_of, corpus, detector, in_documents, never


def test_a_document_of_special_tokens_alone_is_taken_for_no_other() -> None:
    one = detector("probe", scope={"tokens": ["special"]})
    made = connection_of(corpus(6, in_documents(1, 1.0, "probe"), {"random": never}))
    made.execute(
        "UPDATE all_explanations SET token = '<|im_end|>' "
        "WHERE doc_id IN ('doc0001', 'doc0005') OR position = 17"
    )
    found = readings(made, tally(made, [one], Evidence())[RUN], [one], REAL)
    assert found.doc_ids.tolist() == ["doc0000", "doc0002", "doc0003", "doc0004"]
    assert found.reads["probe"].document.tolist() == found.hits["probe"].tolist() == [0, 1, 2, 3]
