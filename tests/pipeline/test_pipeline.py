"""The whole way from a CSV to a bundle, and what other libraries make of it."""

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from project import bmtool

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def moved(finished, tmp_path_factory):
    """`runs/`, copied to another place under another name."""
    folder = tmp_path_factory.mktemp("moved") / "results"
    shutil.copytree(finished / "runs", folder, symlinks=True)
    return folder


@pytest.fixture(params=["through the links", "after a move"])
def runs(request, finished, moved):
    return finished / "runs/tiny" if request.param == "through the links" else moved / "tiny"


def test_everything_is_up_to_date_after_a_run(finished):
    done = bmtool(finished, "run", "tiny.yaml", "--json")

    results = json.loads(done.stdout)["results"]
    assert [result["status"] for result in results] == ["up_to_date"] * 6


@pytest.mark.parametrize("words", [["run", "tiny.yaml"], ["run", "tiny.yaml", "--dry-run"]])
def test_what_is_up_to_date_is_said_without_importing_anything_heavy(finished, words):
    program = (
        "import sys\n"
        "from bmtool.cli import app\n"
        "try:\n"
        "    app(sys.argv[1:])\n"
        "except SystemExit as end:\n"
        "    heavy = ('torch', 'transformers', 'datasets', 'pyarrow', 'numpy', 'sklearn')\n"
        "    print(end.code, [name for name in heavy if name in sys.modules], file=sys.stderr)\n"
    )

    done = subprocess.run([sys.executable, "-c", program, *words], cwd=finished, capture_output=True, text=True)

    assert done.stderr.splitlines()[-1] == "0 []", done.stderr


def test_datasets_opens_what_prepare_wrote(runs):
    from datasets import load_from_disk

    corpus = load_from_disk(str(runs / "prepare/corpus"))
    stars = load_from_disk(str(runs / "prepare/stars"))

    assert set(corpus) == set(stars) == {"train", "validation", "test"}
    assert corpus["train"].column_names[:2] == ["id", "text"]
    assert stars["train"].features["label"].names == ["1", "5"]


def test_transformers_opens_the_checkpoints_without_a_missing_weight(runs):
    from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification, AutoTokenizer

    for name, auto in (("pretrain", AutoModelForMaskedLM), ("finetune", AutoModelForSequenceClassification)):
        tokenizer = AutoTokenizer.from_pretrained(runs / name)
        model, info = auto.from_pretrained(runs / name, output_loading_info=True)

        logits = model(**tokenizer("a lovely film", return_tensors="pt")).logits

        assert not info["missing_keys"]
        assert not info["unexpected_keys"]
        assert bool(logits.isfinite().all())


def test_the_bundle_runs_in_onnxruntime_and_agrees_with_the_checkpoint(runs):
    import onnxruntime
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(runs / "export")
    inputs = tokenizer(["a lovely film", "boring and broken chair"], return_tensors="np", padding=True)
    session = onnxruntime.InferenceSession(runs / "export/model.onnx")
    names = {node.name for node in session.get_inputs()}
    logits = session.run(None, {key: value for key, value in inputs.items() if key in names})[0]

    model = AutoModelForSequenceClassification.from_pretrained(runs / "finetune")
    expected = model(**tokenizer(["a lovely film", "boring and broken chair"], return_tensors="pt", padding=True))

    np.testing.assert_allclose(logits, expected.logits.detach().numpy(), atol=1e-4)


@pytest.mark.parametrize("model", ["finetune", "export"])
def test_predict_keeps_the_columns_and_the_order_of_a_csv(finished, tmp_path, model):
    done = bmtool(finished, "predict", f"runs/tiny/{model}", "reviews.csv", "--output", str(tmp_path / "out.csv"))

    assert done.returncode == 0, done.stderr
    given, got = (
        list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
        for path in (finished / "reviews.csv", tmp_path / "out.csv")
    )
    assert [row["body"] for row in got] == [row["body"] for row in given]
    assert {row["label"] for row in got} <= {"1", "5"}
    assert all(0.5 <= float(row["score"]) <= 1 for row in got)


def test_only_an_evaluation_has_a_metrics_json(finished):
    found = {path.parent.name.partition("-")[0] for path in (finished / "runs/store").rglob("metrics.json")}

    assert found == {"evaluate"}


def test_metrics_json_has_the_shape_that_others_rely_on(finished):
    metrics = json.loads((finished / "runs/tiny/evaluate/metrics.json").read_text())

    stars = metrics["datasets"]["stars"]
    assert stars["split"] == "test"
    assert set(stars["metrics"]["accuracy"]) == {"value", "low", "high", "n"}
    assert stars["metrics"]["accuracy"]["n"] == stars["n"]
    assert set(stars["baselines"]) == {"majority"}
    assert metrics["gates"][0]["passed"] is True


def test_the_report_stands_alone(finished):
    page = (finished / "runs/tiny/evaluate/report.html").read_text(encoding="utf-8")

    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org/", "")
    assert "https://" not in page
    assert "<script src" not in page


def test_the_pipeline_loads_from_python(finished):
    import bmtool as package

    answers = package.load(finished / "runs/tiny/finetune")(["a lovely film", "boring and broken chair"])

    assert [set(answer) for answer in answers] == [{"label", "score"}] * 2


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_configuration_holds(config):
    done = bmtool(ROOT, "check", str(config))

    assert done.returncode == 0, done.stderr


def test_the_example_in_the_readme_holds(tmp_path):
    example = re.search(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "reviews.yaml").write_text(example[1], encoding="utf-8")

    done = bmtool(tmp_path, "check", "reviews.yaml")

    assert done.stdout == "reviews.yaml: ok (prepare corpus, stars; pretrain; finetune; evaluate; export)\n", (
        done.stderr
    )
