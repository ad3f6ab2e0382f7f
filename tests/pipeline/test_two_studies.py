"""Two trainings of as many seeds, compared seed by seed, and a gate on the difference."""

import json
from pathlib import Path

from bmtool.commands.make import Request, make
from bmtool.console import Console

CONFIG = """\
version: 1
name: NAME
runtime: {device: cpu, threads: 1, workers: 1}
prepare:
  corpus:
    sources: texts.jsonl
    tokenizer: {type: wordpiece, vocab_size: 100}
  stars:
    task: text_classification
    sources: stars.jsonl
    split: {test: 0.3}
finetune:
  data: stars
  model: {architecture: bert, hidden_size: 32, num_attention_heads: 2, num_hidden_layers: 1}
  tokenizer: corpus
  max_seq_length: 16
  max_steps: STEPS
  learning_rate: 5e-3
  seeds: 2
evaluate:
"""


def test_a_study_is_compared_with_another_one_seed_by_seed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("texts.jsonl").write_text("".join(json.dumps({"text": f"a good bad text {n}"}) + "\n" for n in range(50)))
    rows = [{"text": f"{label} {n}", "label": label} for label in ("bad", "good") for n in range(40)]
    Path("stars.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    few = CONFIG.replace("NAME", "few").replace("STEPS", "1")
    many = CONFIG.replace("NAME", "many").replace("STEPS", "30") + "  against: {few: runs/few/evaluate/}\n"
    gates = "  gates: [{metric: accuracy, against: few, min: LEAST, seeds: worst}]\n"
    for name, text in (("few", few), ("many", many + gates.replace("LEAST", "0")), ("sure", many + gates)):
        Path(f"{name}.yaml").write_text(text.replace("LEAST", "1.1"))

    codes = [make(Request("run", Path(f"{name}.yaml")), Console()) for name in ("few", "many", "sure")]

    by_name = [json.loads(Path(f"runs/{name}/evaluate/metrics.json").read_text()) for name in ("few", "many")]
    few_values, many_values = (one["datasets"]["stars"]["seeds"]["metrics"]["accuracy"]["values"] for one in by_name)
    [difference] = by_name[1]["datasets"]["stars"]["seeds"]["differences"].values()
    assert codes == [0, 0, 3]
    assert difference["accuracy"]["values"] == [a - b for a, b in zip(many_values, few_values, strict=True)]
    said = capsys.readouterr().err
    assert "accuracy minus few +0." in said
    assert "gate NOT MET: accuracy minus few, the worst of 2 seeds, +0." in said
    assert "minus few" in Path("runs/many/evaluate/summary.md").read_text()
