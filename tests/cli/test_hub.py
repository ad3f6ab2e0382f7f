"""`bmtool prepare` on a dataset of the hub, from the outside: when the network is used, and what is recorded."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "artifacts"))
from hub_server import serving

from checkpoints import write_checkpoint
from project import bmtool

CONFIG = """\
version: 1
name: hub
prepare:
  stars:
    task: text_classification
    sources: {type: huggingface, path: "hf:org/reviews"}
    columns: {label: stars}
    split: {validation: 0.0, test: 0.1}
"""


@pytest.fixture
def hub(tmp_path, monkeypatch):
    (tmp_path / "c.yaml").write_text(CONFIG)
    with serving() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        yield server


def test_the_network_is_used_once_and_never_to_look(hub, tmp_path, monkeypatch):
    rows = [{"text": f"a review, number {n}", "stars": n % 5} for n in range(200)]
    commit = hub.commit("org/reviews", {"train.jsonl": "".join(json.dumps(row) + "\n" for row in rows).encode()})

    looked = [bmtool(tmp_path, *words) for words in (("check", "c.yaml"), ("prepare", "c.yaml", "--dry-run"))]
    silent = list(hub.requests)
    made = bmtool(tmp_path, "prepare", "c.yaml")
    asked = len(hub.requests)
    again = bmtool(tmp_path, "prepare", "c.yaml")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    offline = bmtool(tmp_path, "prepare", "c.yaml", "--set", f"prepare.stars.sources.path=hf:org/reviews@{commit}")

    assert ([one.returncode for one in looked], silent) == ([0, 66], [])
    assert "hf:org/reviews: this dataset isn't in the hub's cache" in looked[1].stderr
    assert f"prepare stars: fetching hf:org/reviews from {hub.url}: commit {commit}, 1 of 1 files, " in made.stderr
    assert [one.returncode for one in (made, again, offline)] == [0, 0, 0]
    assert "up to date" in again.stderr
    assert "up to date" in offline.stderr  # the same bytes, whatever name they were fetched by
    assert len(hub.requests) == asked
    manifest = json.loads((tmp_path / "runs" / "hub" / "prepare" / "stars" / "manifest.json").read_text())
    assert manifest["summary"]["revisions"] == {"hf:org/reviews": commit}


FIELD = [
    f"the good amoxicillin {n}, a very good movie. bad hydrolysis, fine plot and {n % 9} films" for n in range(120)
]
ADAPTED = """\
version: 1
name: hub
prepare:
  field:
    sources: field.jsonl
    split: {validation: 0.2}
    tokenizer: {from: "hf:org/bert", add_tokens: [amoxicillin, hydrolysis]}
  general:
    sources: field.jsonl
    split: {validation: 0.2}
    tokenizer: {from: field}
pretrain:
  data: field
  from: hf:org/bert
  mix: [{data: general, weight: 10%}]
  objective: mlm
  max_seq_length: 32
  per_device_batch_tokens: 256
  max_steps: 3
"""


def test_a_checkpoint_of_the_hub_goes_on_with_more_tokens(hub, tmp_path):
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    source = write_checkpoint(tmp_path / "bert", "mlm")
    commit = hub.commit("org/bert", {path.name: path.read_bytes() for path in source.iterdir()})
    (tmp_path / "field.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in FIELD))
    (tmp_path / "c.yaml").write_text(ADAPTED)

    offline = bmtool(tmp_path, "run", "c.yaml", "--offline")
    silent = list(hub.requests)
    made = bmtool(tmp_path, "run", "c.yaml")
    asked = len(hub.requests)
    again = bmtool(tmp_path, "run", "c.yaml", "--offline")

    assert (offline.returncode, silent) == (66, [])
    assert (made.returncode, again.returncode, len(hub.requests)) == (0, 0, asked), made.stderr
    assert "prepare field: the tokenizer has 2 more tokens, for 2 words: amoxicillin, hydrolysis" in made.stderr
    assert "pretrain: 2 new tokens start at the mean of the tokens they were: " in made.stderr
    assert "pretrain: general: loss " in made.stderr
    folder = tmp_path / "runs" / "hub" / "pretrain"
    assert json.loads((folder / "manifest.json").read_text())["inputs"]["from"]["revision"] == f"hf:org/bert@{commit}"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForMaskedLM.from_pretrained(folder)
    assert model.get_input_embeddings().weight.shape[0] == len(tokenizer)
    assert tokenizer("Amoxicillin", add_special_tokens=False).input_ids == [len(tokenizer) - 2]
