"""How text about a finding is cut."""

from __future__ import annotations

from nla_ray.audit.report.context import AROUND, MOST, Read, contexts


def test_a_context_is_the_text_with_the_tokens_that_were_read() -> None:
    text = "one two three four"
    window = contexts(
        text, [3, 7, 13, 18], {1: Read(0.5, hit=True), 3: Read(None, hit=False), 9: Read(0, hit=True)}
    )
    assert len(window) == 1 and not window[0].cut_before and not window[0].cut_after
    assert "".join(segment.text for segment in window[0].segments) == text
    assert [(one.text, one.hit) for one in window[0].segments if one.position is not None] == [
        (" two", True),
        (" four", False),
    ]


def test_far_hits_have_windows_of_their_own_and_not_too_many() -> None:
    ends = list(range(10, 20_001, 10))
    windows = contexts("word word " * 2000, ends, {at: Read(0.9, hit=True) for at in range(100, 2000, 300)})
    assert len(windows) == MOST
    for window in windows:
        assert window.cut_before and window.cut_after
        assert sum(len(segment.text) for segment in window.segments) == 2 * AROUND + 10


def test_no_hit_no_window() -> None:
    assert contexts("one two", [3, 7], {0: Read(0.1, hit=False)}) == ()
