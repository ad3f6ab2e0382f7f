import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from bmtool.artifacts.manifest import Artifact
from bmtool.config.model import validate
from bmtool.errors import ConfigError, GateError, MissingInputError
from bmtool.exporters.onnx import Onnx
from bmtool.models.bundles.bundle import judge, write_bundle
from bmtool.models.files.inference import Rows
from bmtool.models.files.opening import load

sys.path.insert(0, str(Path(__file__).parent.parent))
from checkpoints import LABELS, write_checkpoint

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

TEXTS = ["good movie", "bad " * 80, "the plot was very boring", "a", "[PAD] good [PAD]", ""] * 4
ASKED = [text for text in TEXTS if text]


def rows(kind):
    if kind == "tags":
        table = pa.table({"words": pa.array([text.split() for text in TEXTS], pa.list_(pa.string()))})
    else:
        table = pa.table({"text": TEXTS})
    return Rows(table, LABELS[kind])


def export(kind, folder, exporter=None):
    checkpoint = Artifact(write_checkpoint(folder / kind, kind), "checkpoint", "c" * 64)
    bundle = folder / "bundle"
    bundle.mkdir()
    job = SimpleNamespace(folder=bundle, stop=SimpleNamespace(reason=""))
    return checkpoint.folder, bundle, (exporter or Onnx()).export(checkpoint, rows(kind), bundle, job)


@pytest.fixture(scope="module", params=["bert", "gpt", "tags"])
def exported(request, tmp_path_factory):
    return export(request.param, tmp_path_factory.mktemp(request.param))


def test_the_bundle_answers_as_the_checkpoint_does(exported):
    checkpoint, bundle, numbers = exported

    torch_answers, onnx_answers = load(checkpoint)(ASKED), load(bundle, batch_tokens=100)(ASKED)

    kind = "tags" if "tags" in torch_answers[0] else "label"
    assert [a[kind] for a in torch_answers] == [a[kind] for a in onnx_answers]
    scores = "scores" if kind == "tags" else "score"
    for mine, theirs in zip(torch_answers, onnx_answers, strict=True):
        assert np.allclose(mine[scores], theirs[scores], atol=1e-4)
    assert numbers["rows"] == len(TEXTS)
    assert numbers["max_abs_difference"] < 1e-4
    assert numbers["same_answers"] == 1.0
    assert json.loads((bundle / "parity.json").read_text()) == numbers


def test_answers_to_questions_are_the_same_over_windows_and_in_another_order(tmp_path):
    questions = [{"question": "what was good", "context": text or "好"} for text in TEXTS]
    checkpoint = Artifact(write_checkpoint(tmp_path / "model", "questions"), "checkpoint", "c" * 64)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    job = SimpleNamespace(folder=bundle, stop=SimpleNamespace(reason=""))
    asked = Rows(load(checkpoint.folder).table(questions), ())

    numbers = Onnx().export(checkpoint, asked, bundle, job)
    wanted, found = load(checkpoint.folder)(questions), load(bundle, batch_tokens=100)(questions[::-1])[::-1]

    assert numbers["max_abs_difference"] < 1e-4
    assert [answer["answer"] for answer in wanted] == [answer["answer"] for answer in found]
    assert all(answer["answer"] in question["context"] for answer, question in zip(wanted, questions, strict=True))
    assert np.allclose([one["score"] for one in wanted], [one["score"] for one in found], atol=1e-4)
    assert len(load(bundle).examples(asked.table)) > len(TEXTS)  # the long one is several windows


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_vectors_of_texts_are_the_same_and_rank_partners_alike(tmp_path, pooling):
    goal = {"type": "similarity", "pooling": pooling}
    info = {"goal": goal, "goal_kind": "task", "labels": [], "max_seq_length": 48, "data_fingerprint": "abc"}
    checkpoint = Artifact(write_checkpoint(tmp_path / "model", "vectors", info), "checkpoint", "c" * 64)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    job = SimpleNamespace(folder=bundle, stop=SimpleNamespace(reason=""))
    pairs = Rows(pa.table({"text": TEXTS, "text_pair": TEXTS[1:] + TEXTS[:1], "id": TEXTS}), ())

    numbers = Onnx().export(checkpoint, pairs, bundle, job)
    wanted, found = (
        np.array([row["embedding"] for row in model(ASKED)])
        for model in (load(checkpoint.folder), load(bundle, batch_tokens=100))
    )

    assert numbers["max_abs_difference"] < 1e-5
    assert (numbers["rows"], numbers["same_answers"]) == (len(TEXTS), 1.0)
    assert np.allclose(wanted, found, atol=1e-5)
    assert np.allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)
    assert not np.allclose(found[0], found[1], atol=1e-2)


#: By a name: the checkpoint, its task, whether it reads two texts, and what of an answer is measured.
OTHERS = {
    "pair": ("bert", {"type": "text_classification", "pair": True}, True, "score"),
    "multi_label": ("bert", {"type": "text_classification", "multi_label": True}, False, "scores"),
    "text_regression": ("number", {"type": "text_regression", "mean": 2.5, "scale": 1.5}, False, "score"),
    "graded": ("vectors", {"type": "similarity", "graded": True, "least": 1.0, "scale": 4.0}, True, "embedding"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_pairs_sets_numbers_and_graded_pairs_are_answered_alike(tmp_path, case):
    kind, goal, has_two, measured = OTHERS[case]
    info = {"goal": goal, "goal_kind": "task", "labels": LABELS[kind], "max_seq_length": 48, "data_fingerprint": "abc"}
    checkpoint = Artifact(write_checkpoint(tmp_path / "model", kind, info), "checkpoint", "c" * 64)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    job = SimpleNamespace(folder=bundle, stop=SimpleNamespace(reason=""))
    texts = {"text": ASKED, "text_pair": ASKED[1:] + ASKED[:1]} if has_two else {"text": ASKED}

    numbers = Onnx().export(checkpoint, Rows(pa.table(texts), LABELS[kind]), bundle, job)
    model = load(checkpoint.folder)
    asked = pa.table({name: texts[name] for name in model.task.asked}).to_pylist()
    wanted, found = model(asked), load(bundle, batch_tokens=100)(asked)
    values = [np.array([answer.pop(measured) for answer in answers]) for answers in (wanted, found)]

    assert numbers["max_abs_difference"] < 1e-4
    assert (numbers["rows"], numbers["same_answers"], numbers["other_answers"]) == (len(ASKED), 1.0, 0)
    assert np.allclose(*values, atol=1e-4)
    assert np.ptp(values[0], axis=0).max() > 0.01  # the text matters
    assert wanted == found


@pytest.fixture(scope="module", params=["t5", "bart", "writing_gpt"])
def writer(request, tmp_path_factory):
    """A checkpoint that writes, its bundle, and the numbers of their comparison."""
    folder = tmp_path_factory.mktemp(request.param)
    goal = {"type": "translation", "max_new_tokens": 12, "num_beams": 3}
    files = {"decoder.onnx"} if request.param == "writing_gpt" else {"encoder.onnx", "decoder.onnx"}
    info = {"goal": goal, "goal_kind": "task", "labels": [], "max_seq_length": 32, "data_fingerprint": "abc"}
    checkpoint = Artifact(write_checkpoint(folder / "model", request.param, info), "checkpoint", "c" * 64)
    bundle = folder / "bundle"
    bundle.mkdir()
    job = SimpleNamespace(folder=bundle, stop=SimpleNamespace(reason=""))
    pairs = Rows(pa.table({"source": TEXTS, "target": TEXTS}), ())
    numbers = Onnx().export(checkpoint, pairs, bundle, job)
    assert {path.name for path in bundle.glob("*.onnx")} == files
    return checkpoint.folder, bundle, numbers


def test_texts_are_written_alike_token_by_token_and_with_beams(writer):
    checkpoint, bundle, numbers = writer

    wanted, found = load(checkpoint)(ASKED), load(bundle)(ASKED)

    assert numbers["max_abs_difference"] < 1e-4
    assert (numbers["rows"], numbers["same_answers"], numbers["other_answers"]) == (len(TEXTS), 1.0, 0)
    assert wanted == found
    assert len({row["target"] for row in found}) > 1  # the source matters


def test_batch_and_length_are_free_and_named(exported):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(exported[1] / "model.onnx"), providers=["CPUExecutionProvider"])

    assert {i.name: i.shape for i in session.get_inputs()} == {
        "input_ids": ["batch", "length"],
        "attention_mask": ["batch", "length"],
    }
    for batch, length in ((1, 1), (3, 48), (5, 2)):
        ids = np.ones((batch, length), np.int64)
        assert session.run(["logits"], {"input_ids": ids, "attention_mask": ids})[0].shape[0] == batch


def test_the_graph_holds_no_path_of_this_machine(exported):
    content = (exported[1] / "model.onnx").read_bytes()

    assert b"site-packages" not in content
    assert str(Path(__file__).parent.parent.parent).encode() not in content


def test_the_bundle_has_all_that_answers_need(exported):
    names = {path.name for path in exported[1].iterdir()}

    assert {"model.onnx", "tokenizer.json", "tokenizer_config.json", "config.json", "bmtool.json"} <= names


def test_a_difference_above_the_tolerance_is_a_failed_gate_with_its_numbers(tmp_path):
    with pytest.raises(GateError, match=r"on 24 rows what it gives differs by up to .* \(tolerance 1e-12\)"):
        export("bert", tmp_path, validate(Onnx, {"tolerance": 1e-12}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_abs_difference": None}, "differs by up to not a number"),
        ({"max_abs_difference": 0.2}, r"differs by up to 0\.2 \(tolerance 0\.1\), and 0 answers are others"),
        ({"other_answers": 1}, r"and 1 answers are others\. Nothing was committed"),
        ({"same_tokens": False}, "cuts the 2 rows into other tokens"),
    ],
)
def test_what_is_not_the_same_is_a_failed_gate(change, message):
    numbers = {
        "rows": 2, "same_tokens": True, "max_abs_difference": 0.01, "same_answers": 1.0, "other_answers": 0,
        "tolerance": 0.1,
    }  # fmt: skip
    judge(numbers)

    with pytest.raises(GateError, match=message):
        judge(numbers | change)


def test_a_model_of_an_objective_is_not_exported(tmp_path):
    with pytest.raises(MissingInputError, match="was trained for 'mlm', which is no task"):
        export("mlm", tmp_path)


def test_a_decoder_that_could_not_tell_texts_from_padding_is_not_exported(tmp_path):
    checkpoint = write_checkpoint(tmp_path / "gpt", "gpt")
    settings = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps(settings | {"pad_token_id": None}))

    with pytest.raises(ConfigError, match=r"config\.json: there is no pad_token_id"):
        write_bundle(Artifact(checkpoint, "checkpoint", "c" * 64), tmp_path)


def test_a_missing_package_is_named_with_the_line_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnxscript" else object())

    with pytest.raises(ConfigError) as error:
        export("bert", tmp_path)

    assert str(error.value) == (
        'ONNX needs onnxscript, which isn\'t installed: pip install "bmtool-pipeline[onnx]", '
        'or from a checkout: pip install -e ".[onnx]"'
    )
