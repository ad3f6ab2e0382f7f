"""Several tasks train one encoder: each gets a checkpoint of its own, and a cut anywhere changes nothing."""

import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from bmtool.config.model import ValidationError, validate
from bmtool.data.tokenizing.tokenizers import load_tokenizer
from bmtool.errors import ConfigError, MissingInputError, TryAgainError
from bmtool.models.files.checkpoint import read_info
from bmtool.models.files.opening import load
from bmtool.registry import TASKS
from bmtool.stages import finetune
from bmtool.train.jobs.several_tasks import open_lessons
from bmtool.train.watching.monitor import read_log
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).parent.parent))
from stopping import StopsAfter

TOGETHER = {"data": ["stars", "names"], "num_train_epochs": 8}


@pytest.fixture
def together(make_job, reviews, tagged, pretrained, tmp_path):
    """A job whose inputs are two tasks: `together("folder")`."""

    def make(name="partial", **inputs):
        given = {"data:stars": reviews, "data:names": tagged, "from": pretrained} | inputs
        return make_job(tmp_path / name, given)

    return make


@pytest.fixture(scope="module")
def learned(job_at, reviews, tagged, pretrained, finetuned, tmp_path_factory):
    given = {"data:stars": reviews, "data:names": tagged, "from": pretrained}
    work = job_at(tmp_path_factory.mktemp("learned") / "finetune-1", given)
    return work, finetune.run(finetuned(**TOGETHER), work.job)


def test_both_tasks_are_learned_and_each_is_a_checkpoint_by_itself(learned):
    from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification, AutoTokenizer

    work, summary = learned
    folder = work.job.folder

    assert summary["validation"]["stars.accuracy"] > 0.9
    assert summary["validation"]["names.f1_span"] > 0.9
    assert set(summary["tasks"]) == {"names", "stars"}
    for name, auto in {"stars": AutoModelForSequenceClassification, "names": AutoModelForTokenClassification}.items():
        model = auto.from_pretrained(folder / name)
        AutoTokenizer.from_pretrained(folder / name)
        info = json.loads((folder / name / "bmtool.json").read_text(encoding="utf-8"))
        assert info["labels"] == list(model.config.id2label.values()) == summary["tasks"][name]["labels"]
        assert (folder / name / "README.md").exists()
    assert json.dumps(summary)


def test_the_encoder_is_the_same_in_all_tasks_and_the_heads_are_their_own(learned):
    folder = learned[0].job.folder

    stars, names = (load_file(folder / name / "model.safetensors") for name in ("stars", "names"))

    shared = stars.keys() & names.keys()
    backbone = {name for name in shared if name.startswith("bert.")}
    assert backbone == {name for name in stars if name.startswith("bert.") and "pooler" not in name}
    assert all(torch.equal(stars[name], names[name]) for name in backbone)
    assert stars["classifier.weight"].shape != names["classifier.weight"].shape


def test_what_is_saved_answers_as_what_was_measured(learned, reviews):
    from bmtool.data.dataset import open_dataset

    work, summary = learned
    rows = open_dataset(reviews.folder)["validation"]
    answers = load(work.job.folder / "stars")(rows.column("text").to_pylist())

    labels = [rows.labels[label] for label in rows.column("label").to_pylist()]
    right = np.mean([answer["label"] == label for answer, label in zip(answers, labels, strict=True)])

    assert right == pytest.approx(summary["validation"]["stars.accuracy"])


def test_the_best_is_chosen_by_the_mean_of_the_tasks(learned):
    work, summary = learned
    log = [line for line in read_log(work.job.folder / "metrics.jsonl") if line["kind"] == "validation"]

    means = [(line["metrics"]["stars.accuracy"] + line["metrics"]["names.f1_span"]) / 2 for line in log]

    assert summary["best"]["metric"] == "mean_of_tasks"
    chosen = summary["environment"]["choices"]["best weights"]
    assert chosen == "by mean_of_tasks (names.f1_span, stars.accuracy)"
    assert summary["best"]["value"] == pytest.approx(max(means))
    assert summary["best"]["step"] == log[int(np.argmax(means))]["step"]
    assert "the best by mean_of_tasks" in finetune.describe(summary)[0]


def test_the_mean_never_adds_up_numbers_of_different_scales(together, finetuned):
    lessons = open_lessons(finetuned(**TOGETHER), finetuned(**TOGETHER).together, together())
    writes = TASKS.load("translation")()
    tasks = {"stars": lessons.tasks["stars"], "to_german": replace(lessons.tasks["names"], task=writes)}

    def mean(task, **numbers):
        given = {f"to_german.{name}": value for name, value in numbers.items()} | {"stars.accuracy": 0.5}
        one = replace(lessons, tasks=tasks | {"to_german": replace(tasks["to_german"], task=task)})
        return one._with_mean(given)["mean_of_tasks"]

    assert mean(writes, chrf=50.0, bleu=20.0, loss=1.0) == pytest.approx(0.5)  # both are half of what is perfect
    assert mean(writes.watched(None), loss=np.log(2)) == pytest.approx(0.5)
    assert mean(TASKS.load("text_regression")(), rmse=400.0, mae=9.0, pearson=0.5) == pytest.approx(0.5)


def test_a_task_that_learned_too_little_says_so_in_its_own_card(together, finetuned):
    job = together()

    summary = finetune.run(finetuned(**TOGETHER | {"num_train_epochs": 1}, learning_rate=1e-9), job)

    cards = {name: (job.folder / name / "README.md").read_text(encoding="utf-8") for name in TOGETHER["data"]}
    doubts = {name: [line for line in card.splitlines() if "| doubt |" in line] for name, card in cards.items()}
    assert summary["warnings"]
    assert [f"{name}: {doubt[10:-2]}" for name, told in doubts.items() for doubt in told] == summary["warnings"]


def test_the_best_can_be_chosen_by_one_tasks_metric(together, finetuned):
    settings = finetuned(**TOGETHER | {"num_train_epochs": 2}, metric_for_best_model="names.f1_macro")

    summary = finetune.run(settings, together())

    assert summary["best"]["metric"] == "names.f1_macro"
    assert summary["best"]["value"] == summary["validation"]["names.f1_macro"]


@pytest.mark.parametrize("weights", [None, "uncertainty"])
def test_a_cut_ends_in_the_same_bytes(together, finetuned, weights):
    settings = finetuned(
        **TOGETHER | {"num_train_epochs": 2}, method={"type": "multi_task", "temperature": 2.0, "weights": weights}
    )
    whole, job = together("whole"), together("cut")
    finetune.run(settings, whole)

    with pytest.raises(TryAgainError):
        finetune.run(settings, replace(job, stop=StopsAfter(7)))
    finetune.run(settings, job)

    assert any("resumed" in line for line in job.console.lines)
    for name in ("stars/model.safetensors", "names/model.safetensors", "bmtool.json", "names/README.md"):
        assert (job.folder / name).read_bytes() == (whole.folder / name).read_bytes(), name


def test_an_estimate_counts_the_encoder_once_and_the_rows_of_all_tasks(
    together, finetuned, reviews, tagged, pretrained
):
    from bmtool.train.sizing.estimate import estimate

    def estimated(config, job):
        return estimate(finetune.outline(config, job), torch.float32, seed=0, device=torch.device("cpu"))

    both = estimated(finetuned(**TOGETHER), together())
    stars = estimated(finetuned(data="stars"), together("stars", data=reviews))
    names = estimated(finetuned(data="names"), together("names", data=tagged))

    assert both.tokens == stars.tokens + names.tokens
    assert both.steps == stars.steps + names.steps
    assert both.operations == pytest.approx(stars.operations + names.operations, rel=0.02)
    assert both.parameters - stars.parameters == 32 * 3 + 3  # the other head alone


# ---------------------------------------------------------------- the loss


def phase_and_model(config, job):
    lessons = open_lessons(config, config.together, job)
    return lessons.phase(), lessons.model()


def batches_of(phase, seed=0):
    course = phase.course(seed, 0)
    rng = np.random.default_rng(0)
    return [phase.goal.collate(phase.train, course.rows(0, batch), rng) for batch in range(course.num_batches(0))]


def test_a_batch_goes_through_its_own_task_and_its_loss_is_that_tasks_own(together, finetuned, reviews, pretrained):
    from bmtool.data.dataset import open_dataset

    phase, model = phase_and_model(finetuned(**TOGETHER), together())
    batch = next(one for one in batches_of(phase) if one.task == "stars")
    task = TASKS.load("text_classification")()
    examples = task.examples(open_dataset(reviews.folder)["train"], load_tokenizer(pretrained.folder), 32)
    start = len(phase.train.parts["names"])

    own = task.losses(model.of("stars"), task.collate(examples, batch.rows - start, np.random.default_rng(0)))
    together_ = phase.goal.losses(model, batch)

    assert together_.keys() == {"stars.cross_entropy"} == batch.counts.keys()
    torch.testing.assert_close(together_["stars.cross_entropy"], own["cross_entropy"])
    assert batch.counts["stars.cross_entropy"] == len(batch.rows)


def test_a_window_of_one_batch_has_the_mean_over_its_targets(together, finetuned):
    phase, _ = phase_and_model(finetuned(**TOGETHER), together())

    for batch in batches_of(phase):
        assert phase.goal.divisors(batch.counts) == pytest.approx(batch.counts)


def test_tasks_count_in_a_window_by_their_shares_of_its_tokens_however_it_is_divided(together, finetuned):
    phase, _ = phase_and_model(finetuned(**TOGETHER), together())
    batches = batches_of(phase)
    counts, tokens = Counter(), Counter()
    for batch in batches:
        counts.update(batch.counts)
        tokens[batch.task] += batch.num_tokens

    divisors = phase.goal.divisors(counts)

    for term, count in counts.items():
        share = tokens[term.partition(".")[0]] / sum(tokens.values())
        assert count / divisors[term] == pytest.approx(share, rel=0.02)


def test_weights_multiply_the_tasks_losses(together, finetuned):
    plain, model = phase_and_model(finetuned(**TOGETHER), together("plain"))
    method = {"type": "multi_task", "weights": {"names": 0.25}}
    weighed, _ = phase_and_model(finetuned(**TOGETHER, method=method), together("weighed"))

    for batch in batches_of(plain)[:6]:
        [(term, loss)] = weighed.goal.losses(model, batch).items()
        factor = 0.25 if batch.task == "names" else 1.0
        torch.testing.assert_close(loss, factor * plain.goal.losses(model, batch)[term])


def test_learned_weights_go_down_where_the_loss_is_high_and_up_where_it_is_low(together, finetuned):
    method = {"type": "multi_task", "weights": "uncertainty"}
    phase, model = phase_and_model(finetuned(**TOGETHER, method=method), together())
    optimizer = torch.optim.SGD([model.log_variances], lr=0.5)
    some = {batch.task: batch for batch in batches_of(phase)}

    for _ in range(60):
        optimizer.zero_grad()
        for batch in some.values():
            [(term, loss)] = phase.goal.losses(model, batch).items()
            (loss / batch.counts[term]).backward()
        optimizer.step()

    with torch.no_grad():
        for place, (name, batch) in enumerate(sorted(some.items())):
            [loss], [count] = phase.goal.tasks[name].losses(model, batch).values(), batch.counts.values()
            assert float(model.log_variances[place]) == pytest.approx(np.log(2 * float(loss) / count), abs=0.01)


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": ["stars", "stars"]}, "two of them would be called 'stars'"),
        ({"data": ["stars", "checkpoints"]}, "no task can be called 'checkpoints'"),
        ({"data": ["stars", "./x/stars"]}, "two of them would be called 'stars'"),
        ({"data": "stars", "method": "multi_task"}, "multi_task needs several datasets: make data a list of them"),
        ({"method": {"type": "distillation", "from": "./x"}}, "distillation learns one task, and data lists several"),
        (
            {"method": {"type": "multi_task", "weights": {"name": 2.0}}},
            "weights: there is no task 'name'. Did you mean 'names'?",
        ),
        ({"metric_for_best_model": "accuracy"}, "with several tasks, say which task's: names.accuracy, stars.accuracy"),
        ({"metric_for_best_model": "stars.acuracy"}, "unknown metric 'acuracy'. Did you mean 'accuracy'?"),
        ({"class_weights": {"good": 2.0}}, "labels by name are of one task, and data lists several"),
    ],
)
def test_settings_that_make_no_sense_together_are_refused(finetuned, settings, message):
    with pytest.raises(ValidationError) as error:
        finetuned(**TOGETHER | settings)

    assert message in str(error.value)


def test_a_list_is_enough_and_a_list_of_one_is_that_one(finetuned):
    assert finetuned(data=["stars"]) == finetuned(data="stars")
    assert finetuned(**TOGETHER).together == validate(type(finetuned(**TOGETHER).together), {})
    assert finetuned(data="stars").together is None


def test_the_folder_of_all_tasks_is_no_checkpoint_and_says_where_they_are(learned):
    folder = learned[0].job.folder

    with pytest.raises(MissingInputError) as error:
        read_info(folder)

    assert f"give the folder of one of its tasks: {folder}/names/, {folder}/stars/" in str(error.value)


def test_heads_on_different_backbones_are_refused_by_name(pretrained):
    from bmtool.architectures.t5 import T5
    from bmtool.models.building.build import new_model
    from bmtool.models.heads.several_heads import SeveralHeads

    config = T5(hidden_size=32, num_attention_heads=2).config(
        vocab_size=64, max_seq_length=32, special_ids={"pad": 0, "eos": 1, "bos": 0}
    )
    writes = new_model(config, "AutoModelForSeq2SeqLM", attention="any")
    tells = new_model(config, "AutoModelForSequenceClassification", ("a", "b"), attention="any")

    with pytest.raises(ConfigError, match="to_german and topics can't share an encoder"):
        SeveralHeads({"to_german": writes, "topics": tells})
