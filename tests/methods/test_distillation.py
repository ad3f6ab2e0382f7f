"""A student learns from its teacher's answers: by the names of labels, with the teacher's own eyes, in fewer layers."""

import json
import shutil

import numpy as np
import pytest
import torch
from bmtool.config.model import validate
from bmtool.data.dataset import open_dataset
from bmtool.errors import ConfigError, DataError
from bmtool.methods.distillation import Distillation, _answers
from bmtool.models.families.packed import document_logits
from bmtool.models.kernels.divergences import label_divergence, set_divergence
from bmtool.registry import TASKS
from bmtool.stages import finetune
from bmtool.tasks.text_classification import TextClassification
from bmtool.tasks.text_regression import TextRegression
from bmtool.tasks.token_classification import TokenClassification
from safetensors.torch import load_file, save_file
from scipy.special import rel_entr, softmax

METHOD = {"type": "distillation", "from": "./teacher"}
WORDS = ("great", "awful", "dull", "lovely")


def changed(folder, teacher, change):
    """A copy of the teacher's checkpoint whose weights and JSON files `change(weights, files)` has changed."""
    shutil.copytree(teacher.folder, folder)
    weights = load_file(folder / "model.safetensors")
    names = ("bmtool.json", "config.json", "tokenizer.json")
    files = {name: json.loads((folder / name).read_text(encoding="utf-8")) for name in names}
    change(weights, files)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return (folder, "checkpoint")


def answers(make_job, reviews, teacher):
    job = make_job(inputs={"data": reviews, "teacher": teacher})
    return _answers(TextClassification(), ("bad", "good"), job)


def test_the_divergence_is_that_of_the_softened_probabilities_times_the_squared_temperature():
    own, other = (np.random.default_rng(seed).normal(size=(5, 3)) for seed in (0, 1))
    own_p, other_p = (softmax(logits / 2, axis=1) for logits in (own, other))

    found = label_divergence(torch.tensor(own), torch.tensor(other), 2.0)

    assert float(found) == pytest.approx(4 * rel_entr(other_p, own_p).sum(), rel=1e-5)
    assert float(label_divergence(torch.tensor(own), torch.tensor(own), 2.0)) == 0


def test_of_sets_each_label_counts_by_itself():
    own, other = (np.random.default_rng(seed).normal(size=(5, 3)) for seed in (0, 1))
    own_p, other_p = (1 / (1 + np.exp(-logits / 3)) for logits in (own, other))

    found = set_divergence(torch.tensor(own), torch.tensor(other), 3.0)

    terms = rel_entr(other_p, own_p) + rel_entr(1 - other_p, 1 - own_p)
    assert float(found) == pytest.approx(9 * terms.mean(axis=1).sum(), rel=1e-5)


def test_half_of_the_layers_keep_what_the_teacher_knows(make_job, reviews, teacher, finetuned):
    job = make_job(inputs={"data": reviews, "from": teacher, "teacher": teacher})

    summary = finetune.run(finetuned(method={**METHOD, "layers": 1}, num_train_epochs=4), job)

    assert summary["validation"]["accuracy"] >= 0.97 * teacher.summary["validation"]["accuracy"]
    assert json.loads((job.folder / "config.json").read_text(encoding="utf-8"))["num_hidden_layers"] == 1
    assert "of the layers the student has 1" in job.console.lines


def test_a_student_alone_with_its_teacher_comes_to_answer_like_it(make_job, reviews, teacher, pretrained, finetuned):
    job = make_job(inputs={"data": reviews, "from": pretrained, "teacher": teacher})

    finetune.run(finetuned(method={**METHOD, "weight": 1.0, "temperature": 1.0}, num_train_epochs=16), job)

    students = answers(make_job, reviews, (job.folder, "checkpoint"))
    teachers = answers(make_job, reviews, teacher)
    probabilities = [softmax(logits, axis=1) for logits in (students, teachers)]
    assert np.abs(probabilities[0] - probabilities[1]).mean() < 0.05


def test_labels_are_matched_by_name(make_job, reviews, teacher, tmp_path):
    def swap(weights, files):
        for name in ("classifier.weight", "classifier.bias"):
            weights[name] = weights[name].flip(0).contiguous()
        files["bmtool.json"]["labels"].reverse()
        files["config.json"]["id2label"] = {"0": "good", "1": "bad"}

    swapped = changed(tmp_path / "swapped", teacher, swap)

    assert np.array_equal(answers(make_job, reviews, swapped), answers(make_job, reviews, teacher))


def test_the_teacher_reads_with_its_own_tokenizer(make_job, reviews, teacher, tmp_path):
    def renumber(weights, files):
        vocabulary = files["tokenizer.json"]["model"]["vocab"]
        ids = [vocabulary[word] for word in WORDS]
        for word, place in zip(WORDS, ids[1:] + ids[:1], strict=True):
            vocabulary[word] = place
        rows = weights["bert.embeddings.word_embeddings.weight"]
        rows[ids[1:] + ids[:1]] = rows[ids].clone()

    renumbered = changed(tmp_path / "renumbered", teacher, renumber)

    assert np.array_equal(answers(make_job, reviews, renumbered), answers(make_job, reviews, teacher))


def test_a_teacher_with_other_labels_is_refused(make_job, reviews, teacher, tmp_path):
    def rename(weights, files):
        del weights
        files["bmtool.json"]["labels"] = ["bad", "fine"]

    other = changed(tmp_path / "other", teacher, rename)

    with pytest.raises(DataError) as error:
        answers(make_job, reviews, other)
    expected = f"{tmp_path / 'other'}: the teacher's labels are bad, fine, and the data has bad, good"
    assert str(error.value) == expected


def test_a_teacher_of_another_task_is_refused(make_job, reviews, teacher):
    job = make_job(inputs={"data": reviews, "teacher": teacher})

    with pytest.raises(ConfigError) as error:
        _answers(TextClassification(pair=True), ("bad", "good"), job)
    assert str(error.value) == (
        f"finetune.method.from: {teacher.folder}: the teacher learned text_classification of text, label, and here is "
        "text_classification of text, text_pair, label"
    )


def test_the_student_starts_from_the_teacher_only_where_layers_are_taken():
    whole, part = (validate(Distillation, {"from": "./teacher", **more}) for more in ({}, {"layers": 1}))

    assert whole.start is None
    assert str(part.start) == "./teacher"
    assert {role: str(need.reference) for role, need in whole.needs(None, None).items()} == {"teacher": "./teacher"}


def test_a_task_without_one_answer_a_text_is_refused():
    method = validate(Distillation, {"from": "./teacher"})

    assert (
        method.unfit(TokenClassification()) == "needs a task with one answer a text, and token_classification is none"
    )
    assert not method.unfit(TASKS.load("text_classification")())


def test_a_temperature_for_numbers_is_refused():
    method = validate(Distillation, {"from": "./teacher", "temperature": 3.0})

    assert method.unfit(TextRegression()) == "has no use for a temperature where answers are numbers"


def test_a_teacher_of_numbers_is_understood_in_the_units_of_the_student():
    student, teacher = TextRegression(mean=2.0, scale=0.5), TextRegression(mean=10.0, scale=4.0)

    assert student.translated(np.float32([[-1.5]]), teacher).tolist() == [[4.0]]


@pytest.mark.parametrize(
    ("task", "column", "values"),
    [
        ({"type": "text_classification", "multi_label": True}, "labels", [["film", "good"], ["film"], []]),
        ("text_regression", "score", [4.5, 3.0, 1.0]),
    ],
)
def test_sets_and_numbers_can_be_learned_from_a_teacher(
    make_job, labelled, pretrained, finetuned, tmp_path, task, column, values
):
    texts = ("we saw a lovely film", "we saw a film", "it was awful")
    data = labelled(task, [{"text": f"{texts[i % 3]} {i}", column: values[i % 3]} for i in range(30)])
    first = make_job(tmp_path / "teacher", {"data": data, "from": pretrained})
    finetune.run(finetuned(num_train_epochs=40), first)
    teacher = (first.folder, "checkpoint")
    method = {**METHOD, "weight": 1.0}

    losses = {}
    for name, start in {"itself": teacher, "another": pretrained}.items():
        job = make_job(tmp_path / name, {"data": data, "from": start, "teacher": teacher})
        finetune.run(finetuned(method=method, max_steps=1, num_train_epochs=None), job)
        log = (job.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        losses[name] = next(line["loss"] for line in map(json.loads, log) if line["kind"] == "train")

    assert losses["itself"] < losses["another"] / 5  # it isn't 0: the student has dropout while it is trained


def test_the_students_loss_is_weighed_between_teacher_and_labels(make_job, reviews, teacher, finetuned):
    from bmtool.models.files.checkpoint import open_model
    from bmtool.train.jobs.finetuning import open_lesson

    job = make_job(inputs={"data": reviews, "from": teacher, "teacher": teacher})
    config = finetuned(method={**METHOD, "weight": 0.25})
    lesson = open_lesson(config, job)
    model = open_model(teacher.folder, "AutoModelForSequenceClassification")
    [phase] = config.method.phases(lesson.phase(), model, job)
    batch = phase.goal.collate(phase.train, np.arange(4), np.random.default_rng(0))

    with torch.no_grad():
        found = phase.goal.losses(model, batch)

    # The student is the teacher: only the labels' part is left.
    with torch.no_grad():
        own = lesson.task.losses_of(document_logits(model, batch), batch)["cross_entropy"]
    assert batch.counts == {"distillation": 4}
    assert found.keys() == {"distillation"}
    assert float(found["distillation"]) == pytest.approx(0.75 * float(own), abs=1e-5)
    assert open_dataset(reviews.folder)["train"].num_rows == len(phase.train.columns["teacher"])
