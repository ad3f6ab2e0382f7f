"""`bmtool check`: a line for each good file, every problem of the others, exit 2."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bmtool.commands.check import check
from bmtool.console import Console

GOOD = """\
version: 1
name: x
prepare:
  a: {sources: a.csv}
  b: {sources: b.csv}
export: {formats: [onnx], data: ./d}
"""
BAD = "version: 1\nname: x\nprepare:\n  a: {source: a.csv}\n  b: {sources: 3}\n"


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("good.yaml").write_text(GOOD)
    Path("bad.yaml").write_text(BAD)
    Path("a.csv").touch()
    Path("b.csv").touch()


def test_a_good_file_gets_one_line(capsys):
    code = check([Path("good.yaml")], as_json=False, console=Console())

    assert code == 0
    assert capsys.readouterr() == ("good.yaml: ok (prepare a, b; export)\n", "")


def test_a_source_that_is_not_there_is_warned_of_and_is_no_fault(capsys, tmp_path):
    Path("b.csv").unlink()

    code = check([Path("good.yaml")], as_json=False, console=Console())

    text = f"prepare.b.sources: b.csv isn't there (relative to {tmp_path}); prepare will stop with 66"
    assert code == 0
    assert capsys.readouterr() == ("good.yaml: ok (prepare a, b; export)\n", f"warning: good.yaml: {text}\n")


def test_quiet_says_nothing_about_a_good_file(capsys):
    code = check([Path("good.yaml")], as_json=False, console=Console(quiet=True))

    assert code == 0
    assert capsys.readouterr() == ("", "")


def test_each_problem_of_each_bad_file_is_a_line_on_stderr(capsys):
    code = check([Path("bad.yaml"), Path("good.yaml"), Path("gone.yaml")], as_json=False, console=Console())

    out, err = capsys.readouterr()
    assert code == 2
    assert out == "good.yaml: ok (prepare a, b; export)\n"
    assert [line.partition(": ")[0] for line in err.splitlines()] == ["bad.yaml:4:7", "bad.yaml:5:7", "error"]
    assert err.splitlines()[-1] == "error: gone.yaml: there is no such file. Did you mean 'good.yaml'?"


@pytest.mark.parametrize("preset", ["[]", "{a: b}", "[web]"])
def test_a_preset_that_is_no_name_is_a_fault_of_the_file(capsys, preset):
    Path("good.yaml").write_text(GOOD.replace("sources: a.csv", f"sources: a.csv, preset: {preset}"))

    code = check([Path("good.yaml")], as_json=False, console=Console())

    assert code == 2
    assert "prepare.a.preset: expected web, docs or code, got a " in capsys.readouterr().err


def test_json_is_one_document(capsys):
    code = check([Path("good.yaml"), Path("bad.yaml")], as_json=True, console=Console())

    document = json.loads(capsys.readouterr().out)
    assert (code, document["command"], document["exit_code"]) == (2, "check", 2)
    good, bad = document["results"]
    assert good == {"file": "good.yaml", "status": "done", "sections": ["prepare a, b", "export"], "error": None}
    assert (bad["status"], bad["error"].count("\n")) == ("failed", 1)


def test_set_is_checked_too(capsys):
    code = check([Path("good.yaml")], ["export.formts=[onnx]"], as_json=False, console=Console())

    assert code == 2
    assert capsys.readouterr().err == "--set export.formts=[onnx]: unknown setting. Did you mean 'formats'?\n"


def test_a_check_imports_nothing_heavy():
    program = (
        "import sys; from pathlib import Path;"
        "from bmtool.commands.check import check; from bmtool.console import Console;"
        "check([Path('good.yaml')], as_json=False, console=Console());"
        "print([m for m in ('torch', 'transformers', 'datasets', 'pyarrow', 'numpy', 'sklearn') if m in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=dict(os.environ))

    assert done.stdout.splitlines()[-1] == "[]", done.stderr


WRITES = """\
version: 1
name: x
prepare:
  corpus: {sources: a.jsonl, tokenizer: {type: bpe, sentinels: 100, mask: true}}
  rows: {task: TASK, sources: a.jsonl}
pretrain: {data: corpus, model: MODEL, max_steps: 9, learning_rate: 1e-3}
finetune: {data: rows, max_steps: 9, learning_rate: 1e-3}
"""
READERS = "bert, gpt, llama, modernbert, qwen3, roberta"
CHAT = "{type: generation, messages: true}"


MISFITS = [
    (
        CHAT,
        "bart",
        "'bart' (encoder-decoder) can't learn generation from messages. Those that can: gpt, llama, qwen3",
    ),
    (CHAT, "gpt", ""),
    ("generation", "bart", ""),
    (
        "translation",
        "bert",
        "'bert' (encoder) can't learn translation from source, target. Those that can: bart, gpt, llama, qwen3, t5",
    ),
    (
        "text_classification",
        "t5",
        "'t5' (encoder-decoder) can't learn text_classification from text, label. Those that can: " + READERS,
    ),
]


@pytest.mark.parametrize(("task", "model", "said"), MISFITS)
def test_a_folder_that_can_not_learn_the_task_is_refused_before_it_is_opened(capsys, task, model, said):
    Path("start").mkdir()
    settings = {"model_type": model, "is_encoder_decoder": model in {"bart", "t5"}}
    Path("start/config.json").write_text(json.dumps(settings))
    lines = WRITES.replace("TASK", task).splitlines(keepends=True)
    Path("own.yaml").write_text("".join(lines[:5] + lines[6:]).replace("finetune: {", "finetune: {from: ./start, "))

    code = check([Path("own.yaml")], as_json=False, console=Console(quiet=True))

    known = ""
    if "encoder-decoder" in said:
        what = said.partition(") can't")[2].partition(".")[0]
        start = "a decoder" if task == CHAT else "an encoder or a decoder"
        known = f"finetune.from: ./start is a '{model}' (encoder-decoder), which can't{what}. Start from {start}"
        known = f"own.yaml:6:12: {known}"
    assert (code, capsys.readouterr().err.splitlines()) == ((2, [known]) if known else (0, []))


@pytest.mark.parametrize(("task", "model", "said"), MISFITS)
def test_a_model_that_can_not_learn_the_task_is_refused_where_it_is_set(capsys, task, model, said):
    objective = {"bert": ", objective: mlm", "gpt": ", objective: clm"}.get(model, ", objective: span_corruption")
    own = WRITES.replace("TASK", task).replace("MODEL", model + objective)
    Path("own.yaml").write_text(own)
    Path("new.yaml").write_text(own.replace("finetune: {", f"finetune: {{model: {model}, "))

    codes = [check([Path(name)], as_json=False, console=Console(quiet=True)) for name in ("own.yaml", "new.yaml")]

    lines = capsys.readouterr().err.splitlines()
    assert codes == ([2, 2] if said else [0, 0])
    assert lines == (
        [f"own.yaml:6:26: pretrain.model: {said}", f"new.yaml:7:12: finetune.model: {said}"] if said else []
    )
