"""`bmtool doctor`: what a run would find here, before it does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bmtool import cli
from bmtool.commands.doctor.command import doctor
from bmtool.commands.doctor.disk import disk
from bmtool.commands.doctor.extras import extras, reporters
from bmtool.commands.doctor.system import clock, encoding, packages, pinned_versions, python_is, variables
from bmtool.config.extras import EXTRAS
from bmtool.runner.pipeline import load_pipeline
from typer.testing import CliRunner

FILE = """\
version: 1
name: x
runtime: {device: cpu, threads: 1, torch_compile: never}
prepare:
  corpus: {sources: a.csv}
pretrain: {data: corpus, model: bert, objective: mlm, max_steps: 5, precision: fp32}
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OMP_DYNAMIC", raising=False)
    Path("file.yaml").write_text(FILE)
    return Path("file.yaml")


def findings(capsys):
    document = json.loads(capsys.readouterr().out)
    return document["exit_code"], {one["topic"]: one for one in document["results"]}


def test_a_machine_that_can_run_ends_with_0_and_a_line_for_each_thing(file, capsys):
    code = doctor(file)

    lines = capsys.readouterr().out.splitlines()
    topics = {line.split()[1] for line in lines[:-1] if not line.startswith(" ")}
    assert code == 0, lines
    assert topics >= {
        "bmtool",
        "python",
        "packages",
        "output",
        "disk",
        "[onnx]",
        "network",
        "torch",
        "device",
        "threads",
    }
    assert "ok       device        cpu (asked for)" in lines
    assert "ok       precision     pretrain: fp32 (asked for)" in lines
    assert any(line.startswith("ok       threads       1 (asked for) of ") for line in lines)


def test_what_a_run_would_be_ended_by_has_its_exit_code(file, capsys, monkeypatch):
    monkeypatch.setenv("OMP_DYNAMIC", "true")

    code = doctor(file, as_json=True)

    written, found = findings(capsys)
    assert code == written == 2
    assert found["threads"]["state"] == "problem"
    assert found["threads"]["text"].startswith("OMP_DYNAMIC is set in the environment")


def test_a_faulty_file_is_told_as_everywhere(file):
    file.write_text(FILE.replace("precision", "precison"))

    result = CliRunner().invoke(cli.app, ["doctor", "file.yaml"])

    assert result.exit_code == 2
    assert "pretrain.precison: unknown setting. Did you mean 'precision'?" in result.stderr


def test_set_changes_what_is_asked_for(file, capsys):
    doctor(file, ["pretrain.precision=bf16"], as_json=True)

    assert "bf16 (asked for" in findings(capsys)[1]["precision"]["text"]


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
def test_whether_torch_can_compile_layers_is_tried_where_it_may(file, capsys):
    import torch
    from torch._inductor import config

    doctor(file, as_json=True)
    never = findings(capsys)[1]["compiler"]
    torch.compiler.reset()
    code = doctor(file, ["runtime.torch_compile=always"], as_json=True)
    always = findings(capsys)[1]["compiler"]
    torch.compiler.reset()
    with config.patch({"cpp.cxx": ("/no/such/compiler",), "fx_graph_cache": False}):
        codes = [doctor(file, [f"runtime.torch_compile={wanted}"], as_json=True) for wanted in ("auto", "always")]
        [first, second] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    torch.compiler.reset()

    assert never["text"] == "not needed (runtime.torch_compile: never)"
    assert (code, always["state"], always["text"]) == (0, "ok", "torch can compile layers here")
    assert codes == [0, 2]
    states = [[one["state"] for one in found["results"] if one["topic"] == "compiler"] for found in (first, second)]
    assert states == [["note"], ["problem"]]


def test_only_what_computes_imports_torch(file):
    program = (
        "import sys; from pathlib import Path\n"
        "from bmtool.commands.doctor import command as doctor\n"
        "doctor.compute = lambda runtime, precisions: ()\n"
        "doctor.doctor(Path('file.yaml'), as_json=True)\n"
        "print([m for m in ('torch', 'transformers', 'datasets', 'pyarrow') if m in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=dict(os.environ))

    assert done.stdout.splitlines()[-1] == "[]", done.stderr


# ---------------------------------------------------------------- the disk


def test_the_output_folder_is_tried_and_left_as_it_was(tmp_path):
    output, free, *_ = disk(tmp_path)

    assert output.text == f"{tmp_path}: locks, atomic renames and links, and syncing work"
    assert free.text.endswith(f"free in {tmp_path}")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_yet_is_tried_where_it_will_be(tmp_path):
    output, *_ = disk(tmp_path / "a" / "b")

    assert output.text.startswith(f"{tmp_path}/a/b (not there yet; {tmp_path}): locks")
    assert list(tmp_path.iterdir()) == []


def test_a_place_where_nothing_can_be_written_is_74():
    (found,) = disk(Path("/proc/runs"))

    assert (found.state, found.exit_code) == ("problem", 74)
    assert found.text.startswith("/proc/runs (not there yet; /proc): artifacts can't be made here: ")


def test_a_file_in_the_place_of_the_folder_is_74(tmp_path):
    (tmp_path / "runs").touch()

    (found,) = disk(tmp_path / "runs")

    assert (found.state, found.text, found.exit_code) == ("problem", f"{tmp_path}/runs is no folder", 74)


def test_the_size_of_the_cache_is_said(tmp_path):
    (tmp_path / "store" / ".cache" / "rows").mkdir(parents=True)
    (tmp_path / "store" / ".cache" / "rows" / "x").write_bytes(b"x" * 2000)

    *_, cache = disk(tmp_path)

    assert cache.topic == "cache"
    assert cache.text.startswith(f"2.0 kB in {tmp_path}/store/.cache; ")


# ---------------------------------------------------------------- packages and the environment


def test_versions_are_compared_with_what_is_needed_and_what_was_tested():
    numpy = pinned_versions()["numpy"]
    requirements = ["numpy>=2.0", "pyyaml>=99", "no-such-package>=1", "torch>=99; extra == 'gpu'"]

    old, missing, rest = packages(requirements, {"numpy": "1.0"})

    assert old.state == missing.state == "problem"
    assert old.exit_code == missing.exit_code == 66
    assert old.text.startswith("pyyaml 6")
    assert old.text.endswith(" is here, and bmtool needs >=99")
    assert (missing.text, missing.advice) == ("no-such-package isn't installed", "pip install 'no-such-package>=1'")
    assert rest.state == "note"
    assert rest.text.startswith("3; of other versions than were tested (in brackets): numpy ")
    assert numpy.startswith("2.")


def test_the_version_of_python_is_compared_with_what_bmtool_needs():
    assert python_is("3.12.1", ">=3.11,<3.14").state == "ok"
    assert python_is("3.14.0", ">=3.11,<3.14").text == "3.14.0, and bmtool needs >=3.11,<3.14"


@pytest.mark.parametrize(("preferred", "files", "state"), [("UTF-8", "utf-8", "ok"), ("ISO-8859-1", "utf-8", "note")])
def test_another_encoding_than_utf8_is_noted(preferred, files, state):
    assert encoding(preferred, files).state == state


def test_a_clock_that_stands_still_is_noted():
    assert clock(1970).text == "it is 1970 by the clock: ages and times in manifests will be wrong"
    assert clock(2027).state == "ok"


def test_variables_that_do_something_else_than_they_seem_to_are_noted():
    found = list(variables({"OMP_NUM_THREADS": "4", "BMTOOL_FAULT": "nan@step:7", "HOME": "/root"}))

    assert [one.text for one in found] == [
        "BMTOOL_FAULT=nan@step:7 makes runs fail on purpose",
        "OMP_NUM_THREADS=4 has no effect",
    ]


# ---------------------------------------------------------------- extras


def test_an_extra_that_the_file_needs_and_that_is_missing_is_a_problem(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in ("peft", "wandb") else object())

    found = {one.topic: one for one in extras({"lora": ["lora"]})}

    assert found["[lora]"].state == "problem"
    assert found["[lora]"].text == "the file needs it for lora; peft isn't installed"
    assert found["[lora]"].advice == EXTRAS["lora"].pip
    assert found["[wandb]"].text == "wandb isn't installed, and the file doesn't need it"
    assert found["[wandb]"].state == "ok"


def test_without_a_file_a_missing_extra_is_noted_with_what_it_is_for(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "peft" else object())

    found = {one.topic: one for one in extras(None)}

    assert (found["[lora]"].state, found["[lora]"].text) == ("note", "method lora; peft isn't installed")
    assert found["[onnx]"].state == "ok"


def test_a_reporter_without_its_server_is_a_problem(file, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    (found,) = reporters(load_pipeline(file, ["pretrain.report_to=[mlflow, tensorboard]"]))

    assert (found.state, found.exit_code) == ("problem", 2)
    assert "MLFLOW_TRACKING_URI" in found.text


def test_offline_is_said(monkeypatch, file):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}

    done = subprocess.run(
        [sys.executable, "-m", "bmtool", "doctor", "file.yaml"], capture_output=True, text=True, env=environment
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "note     network       HF_HUB_OFFLINE is set: of what `hf:` names, only what is cached" in done.stdout
