"""Private values go in; nothing of them is in what comes out, on the screen or on the disk."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

CANARIES = {
    "email": "kanari.vogel@canary-example.org",
    "phone": "+49 30 901820417",
    "ip": "203.0.113.77",
    "credit_card": "4539578763621486",
    "iban": "DE89370400440532013000",
    "chinese_id": "11010519491231002X",
    "secret": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
}

CONFIG = """
version: 1
name: canary
prepare:
  notes:
    task: text_classification
    sources: notes.jsonl
    clean: [unicode, whitespace]
    filters: [{type: length, min_chars: 60}]
    scrub: [{type: email, replace: pseudonym}, phone, ip, credit_card, iban, chinese_id, secret]
    scrub_key: key.txt
    deduplicate: [exact, near]
    split: {test: 0.3}
"""


@pytest.fixture
def folder(tmp_path):
    """A project whose rows hold every canary: kept, too short, doubled, and in lines that can't be read."""
    rows = [
        f"Note {n}: ask {value} about the {kind} of the year {n}, please do."
        for kind, value in CANARIES.items()
        for n in range(9)
    ]
    rows += [f"short {value}" for value in CANARIES.values()]
    lines = [json.dumps({"text": row, "label": "ab"[n % 2]}) for n, row in enumerate([*rows, *rows[:20]])]
    broken = [f'{{"text": "{value}' for value in CANARIES.values()]
    (tmp_path / "notes.jsonl").write_text("\n".join([*lines, *broken]) + "\n")
    (tmp_path / "key.txt").write_text("a key of more than thirty-two characters that is secret itself")
    (tmp_path / "canary.yaml").write_text(CONFIG)
    return tmp_path


def bmtool(folder: Path, *words: str) -> str:
    """Everything the command says."""
    done = subprocess.run(
        [sys.executable, "-m", "bmtool.cli", *words], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout + done.stderr


def test_no_private_value_and_no_key_is_said_or_left_on_the_disk(folder):
    said = bmtool(folder, "prepare", "canary.yaml", "--sample", "100%")
    said += bmtool(folder, "prepare", "canary.yaml", "-v")
    said += bmtool(folder, "prepare", "canary.yaml", "--json", "--force")
    said += bmtool(folder, "inspect", "runs/canary/prepare/notes")
    said += bmtool(folder, "inspect", "runs/canary/prepare/notes", "--json")

    left = {path: path.read_bytes() for path in (folder / "runs").rglob("*") if path.is_file()}
    report = json.loads(next(data for path, data in left.items() if path.name == "report.json"))

    assert report["scrubbed"] == {**dict.fromkeys(CANARIES, 9), "email": 18, "phone": 18, "ip": 11}
    assert report["rejected_by_reason"] == {"broken JSON": len(CANARIES)}
    assert report["ledger"]["dropped"]["length"] == len(CANARIES)
    assert b"[EMAIL_" in b"".join(left.values())
    for secret in [*CANARIES.values(), "a key of more than thirty-two"]:
        assert secret not in said
        assert [str(path) for path, data in left.items() if secret.encode() in data] == []
