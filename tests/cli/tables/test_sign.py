"""`nla-ray sign` and `nla-ray verify` of reports, with the keys and the tools of OpenSSH."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from nla_ray.audit.report.write import write_report
from nla_ray.store.places.tree import Tree
from tests.audit.reports import example
from tests.cli.conftest import Invoke
from tests.store.conftest import bucket, s3, s3_endpoint  # noqa: F401 (fixtures)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return new_key(tmp_path / "officer")


def new_key(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@pytest.fixture
def report(tmp_path: Path) -> Path:
    write_report(example(3), Tree(str(tmp_path / "report")))
    return tmp_path / "report"


def test_a_signature_is_checked_by_the_command_and_by_hand(
    report: Path, key: Path, tmp_path: Path, invoke: Invoke
) -> None:
    ended = invoke("sign", report, "--key", key)
    assert ended.code == 0 and str(report / "report.json.sig") in ended.out
    ended = invoke("verify", report, "--signers", f"{key}.pub")
    assert ended.code == 0 and "signed by officer.pub, ED25519 key SHA256:" in ended.out
    assert "of what was signed: report.html, report.md, report.sarif" in ended.out
    named = tmp_path / "allowed"
    named.write_text(f"# who may\nofficer@example.com {Path(f'{key}.pub').read_text()}")
    assert (
        "signed by officer@example.com," in invoke("verify", report / "report.json", "--signers", named).out
    )
    by_hand = ["ssh-keygen", "-Y", "verify", "-n", "nla-ray-report", "-I", "officer@example.com"]
    files = ["-f", str(named), "-s", str(report / "report.json.sig")]
    data = (report / "report.json").read_bytes()
    assert subprocess.run([*by_hand, *files], input=data, capture_output=True, check=True).stdout
    assert invoke("sign", report, "--key", key).code == 0


def test_whatever_is_not_as_it_was_signed_is_one_line(
    report: Path, key: Path, tmp_path: Path, invoke: Invoke
) -> None:
    def problem(place: Path | str = report, signers: Path | str = f"{key}.pub", code: int = 10) -> str:
        ended = invoke("verify", place, "--signers", signers)
        assert ended.code == code
        return (ended.out + ended.err).strip()

    assert problem().startswith("not signed: there is no report.json.sig")
    invoke("sign", report, "--key", key)
    other = new_key(tmp_path / "other")
    assert "who is not among those of" in problem(signers=f"{other}.pub")
    ended = invoke("sign", report, "--key", other)
    assert ended.code == 2 and "is a signature of this report already, by ED25519 key" in ended.err
    page = (report / "report.html").read_bytes()
    (report / "report.html").write_bytes(page.replace(b"Week 47", b"Week 48"))
    assert problem().splitlines()[-1] == "report.html: is not what this nla_ray writes of report.json"
    (report / "report.html").write_bytes(page)
    data = (report / "report.json").read_bytes()
    (report / "report.json").write_bytes(data.replace(b'"critical"', b'"low"', 1))
    assert problem().startswith("report.json.sig does not fit report.json") and "\n" not in problem()
    assert invoke("sign", report, "--key", other).code == 0, "what fits nothing is replaced"
    (report / "report.json.sig").write_bytes(b"-----BEGIN SSH SIGNATURE-----\nx\n")
    assert problem().startswith("report.json.sig does not fit report.json")
    assert "has no report.json" in problem(place=tmp_path, code=7)
    assert "is a private key" in problem(signers=key, code=2)
    gone = problem(signers=tmp_path / "gone", code=7)
    assert "there is no such file" in gone and "Errno" not in gone and "\n" not in gone
    (tmp_path / "empty").write_text("\n")
    assert "names nobody" in problem(signers=tmp_path / "empty", code=2)
    assert "say who may sign it" in invoke("verify", report).err


def test_keys_that_cannot_be_used_are_refused_and_nothing_is_written(
    report: Path, key: Path, tmp_path: Path, invoke: Invoke
) -> None:
    key.chmod(0o644)
    refused = {key: "others may read it; chmod 600", tmp_path / "none": "there is no key"}
    (tmp_path / "text").write_text("secret words")
    (tmp_path / "text").chmod(0o600)
    for one, why in (refused | {tmp_path / "text": "cannot sign with it"}).items():
        ended = invoke("sign", report, "--key", one)
        assert ended.code == 2 and why in ended.err and len(ended.err.splitlines()) == 1
        assert "secret words" not in ended.err
    assert not (report / "report.json.sig").exists()


def test_a_report_on_s3_is_signed_and_checked_there(s3: str, key: Path, invoke: Invoke) -> None:  # noqa: F811
    place = f"{s3}-signed"
    write_report(example(3), Tree(place))
    assert invoke("sign", place, "--key", key).code == 0
    assert invoke("verify", place, "--signers", f"{key}.pub").code == 0
    Tree(place).write("report.md", b"nothing found")
    assert invoke("verify", place, "--signers", f"{key}.pub").code == 10


def test_only_a_report_is_signed_and_a_page_that_is_gone_is_named(
    report: Path, key: Path, tmp_path: Path, invoke: Invoke
) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"schema_version": 1, "verdict": "reportable"}')
    ended = invoke("sign", other, "--key", key)
    assert ended.code == 2 and "is no report that this nla_ray writes (" in ended.err
    assert invoke("sign", report, "--key", key).code == 0
    (report / "report.html").unlink()
    ended = invoke("verify", report, "--signers", f"{key}.pub")
    assert ended.code == 0 and "not there, so not checked: report.html\n" in ended.out
