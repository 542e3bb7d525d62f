"""What changed in a configuration."""

from __future__ import annotations

from nla_ray.fleet.report.differing import changed_values


def test_values_by_their_dotted_key_and_list_entries_by_name() -> None:
    before = {"seed": 0, "targets": [{"name": "a", "target": "x"}, {"name": "b", "target": "y"}], "n": [1]}
    after = {"seed": 0, "targets": [{"name": "b", "target": "z"}, {"name": "a", "target": "x"}], "n": [1, 2]}
    assert [(one.key, one.before, one.after) for one in changed_values(before, after)] == [
        ("n", "[1]", "[1, 2]"),
        ("targets.b.target", '"y"', '"z"'),
    ]


def test_what_came_and_what_went() -> None:
    found = changed_values({"budget": {"money": 5}}, {"budget": {}, "keep": True})
    assert [(one.key, one.before, one.after) for one in found] == [
        ("budget", "", "{}"), ("budget.money", "5", ""), ("keep", "", "true"),
    ]  # fmt: skip
    assert changed_values({"a": {}}, {"a": {}}) == ()
    [url] = changed_values({"a": 1}, {"a": "https://me:T0K3N@host/x"})
    assert "T0K3N" not in url.after and "host/x" in url.after
    assert len(changed_values({}, {"a": "x" * 5000})[0].after) < 300
