"""Where an explanation is cut about the matched words."""

from __future__ import annotations

from nla_ray.audit.report.evidence import Evidence
from nla_ray.audit.report.outline import AROUND, marked


def test_the_matched_words_are_found_where_they_start() -> None:
    row = Evidence(row_id="r", sample=0, position=1, token="x", span="test", span_start=10,
                   explanation="a test; a test", fve_nrm=0.5)  # fmt: skip
    assert marked(row) == ("a test; a ", "test", "")
    assert marked(row.model_copy(update={"span": "exam"})) == ("a test; a test", "", "")
    long = row.model_copy(update={"explanation": "y" * 5000 + "test" + "z" * 5000, "span_start": 0})
    before, span, after = marked(long)
    assert span == "test" and len(before) < AROUND + 60 and len(after) < AROUND + 60
