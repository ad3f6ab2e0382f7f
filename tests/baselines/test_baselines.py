"""Baselines learn from train (and choose on validation) only, and speak the model's label ids."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from bmtool.artifacts.manifest import Artifact, Manifest
from bmtool.baselines.from_scratch import FromScratch
from bmtool.baselines.linear_probe import LinearProbe
from bmtool.baselines.majority import Majority
from bmtool.baselines.overlap import Overlap
from bmtool.baselines.tfidf import Tfidf
from bmtool.baselines.tfidf_retrieval import TfidfRetrieval
from bmtool.config.model import validate
from bmtool.console import Console
from bmtool.data.dataset import open_dataset
from bmtool.data.examples.labelled import references_of
from bmtool.data.plain_models.sentence_overlap import SentenceOverlap
from bmtool.data.plain_models.tfidf import choose_and_predict, vectorizer
from bmtool.data.rows import ANSWERS
from bmtool.data.text.scripts import is_without_spaces
from bmtool.errors import ConfigError, DataError
from bmtool.registry import BASELINES, TASKS
from bmtool.stages import finetune
from bmtool.tasks.question_answering import QuestionAnswering
from bmtool.tasks.similarity import Similarity
from bmtool.tasks.text_classification import TextClassification
from bmtool.tasks.text_regression import TextRegression
from bmtool.tasks.token_classification import TokenClassification


def split(name, labels, /, **columns):
    table = pa.table(columns)
    return SimpleNamespace(
        name=name, labels=labels, num_rows=table.num_rows, schema=table.schema, column=table.column, table=table
    )


class Data:
    def __init__(self, *splits):
        self.splits = {part.name: part for part in splits}

    def __getitem__(self, name):
        return self.splits[name]


def reviews(*, validation=True):
    good, bad = (
        ["a lovely calm film", "lovely acting", "calm and lovely"],
        ["a dull loud film", "dull acting", "so loud"],
    )
    names = ("bad", "good")
    parts = [split("train", names, text=good + bad, label=[1, 1, 1, 0, 0, 0])]
    if validation:
        parts.append(split("validation", names, text=["lovely film", "dull film"], label=[1, 0]))
    parts.append(split("test", names, text=["calm acting", "loud acting", "lovely"], label=[1, 0, 1]))
    return Data(*parts)


def test_majority_gives_the_most_frequent_label_of_train_as_the_models_id(make_job):
    data = Data(
        split("train", ("bad", "good"), text=["x"] * 3, label=[1, 1, 0]),
        split("test", ("bad", "good"), text=["x"] * 2, label=[0, 0]),
    )

    outputs = Majority().predict(make_job(), TextClassification(), data, "test", ("good", "bad"))

    assert outputs["predictions"].tolist() == [0, 0]


def test_majority_gives_each_word_the_most_frequent_tag(make_job):
    data = Data(
        split("train", ("B-PER", "O"), words=[["a", "b", "c"]], tags=[[1, 0, 1]]),
        split("test", ("B-PER", "O"), words=[["a"], [], ["b", "c"]], tags=[[0], [], [1, 1]]),
    )

    outputs = Majority().predict(make_job(), TokenClassification(), data, "test", ("B-PER", "O"))

    assert [row.tolist() for row in outputs["predictions"]] == [[1], [], [1, 1]]


def test_a_label_the_model_does_not_know_is_a_data_error(make_job):
    with pytest.raises(DataError) as error:
        Majority().predict(make_job(), TextClassification(), reviews(), "test", ("good", "awful"))

    assert str(error.value) == ("the data has labels that the model was not trained on: bad. It knows good, awful")


def test_tfidf_tells_words_apart_and_says_how_it_chose(make_job):
    job = make_job()

    outputs = Tfidf().predict(job, TextClassification(), reviews(), "test", ("good", "bad"))

    assert outputs["predictions"].tolist() == [0, 1, 0]
    assert job.console.lines == ["tfidf: 20 word n-grams, C 100 by validation accuracy (1 1.000, 10 1.000, 100 1.000)"]


def test_tfidf_without_a_validation_split_takes_the_middle_strength(make_job):
    job = make_job()

    Tfidf().predict(job, TextClassification(), reviews(validation=False), "test", ("bad", "good"))

    assert job.console.lines[0].endswith("C 10, since there is no validation split")


def test_tfidf_chooses_on_validation():
    train = ([["a a a b", "a b", "b b a", "b"] * 5], np.asarray([0, 0, 1, 1] * 5))
    upside_down = (train[0], 1 - train[1])

    _, reason = choose_and_predict(train, upside_down, [["a"]], [1e-9, 100.0], Console(quiet=True))

    assert "C 1e-09 by" in reason  # the weaker fit is less wrong where validation says the opposite


def test_scripts_without_spaces_are_counted_by_character():
    chinese = ["这部电影很好看", "演员很差 bad", "好看"]

    words = vectorizer(chinese).fit(chinese)

    assert is_without_spaces(chinese)
    assert "好看" in words.vocabulary_
    assert not is_without_spaces(["a film about 北京 and more words of English", "plain"])
    assert is_without_spaces(["ภาพยนตร์ดีมาก"])
    assert is_without_spaces(["とても面白い映画でした"])


def test_one_letter_words_count():
    assert "c" in vectorizer(["c r d"]).fit(["c r d"]).vocabulary_


def test_tfidf_tells_texts_without_words_apart_by_their_characters():
    column = ["😀", "😡"] * 4

    predictions, reason = choose_and_predict(
        ([column], np.asarray([1, 0] * 4)), None, [["😡", "😀"]], [10.0], Console(quiet=True)
    )

    assert predictions.tolist() == [0, 1]
    assert reason.startswith("2 character n-grams")


@pytest.mark.parametrize("train", [([["a b", "c"]], np.asarray([1, 1])), ([["", " "]], np.asarray([0, 1]))])
def test_tfidf_with_nothing_to_tell_apart_gives_one_label(train):
    predictions, reason = choose_and_predict(train, None, [["a", "b"]], [1.0], Console(quiet=True))

    assert len(set(predictions.tolist())) == 1
    assert reason.startswith("nothing to tell apart")


def test_every_task_has_a_baseline_and_tfidf_does_not_tag_words():
    for name in TASKS.names():
        assert any(BASELINES.load(baseline)().can_do(TASKS.load(name)()) for baseline in BASELINES.names())
    assert not Tfidf().can_do(TokenClassification())
    assert Tfidf().can_do(TextRegression(pair=True))


def answered(parts):
    """A dataset whose train rows tell the answer by one word, and what is asked of its test rows."""
    return Data(*(split(name, ("a", "b"), **columns) for name, columns in parts.items()))


def test_majority_and_tfidf_give_all_labels_that_fit(make_job):
    sets = pa.list_(pa.int64())
    texts = ["red ball", "blue ball", "red cup", "blue cup"] * 5
    train = {"text": texts, "labels": pa.array([[0, 1], [0], [1], []] * 5, sets)}
    test = {"text": ["red thing", "ball"], "labels": pa.array([[], []], sets)}
    task = TextClassification(multi_label=True)
    data = answered({"train": train, "test": test})

    usual = Majority().predict(make_job(), task, data, "test", ("b", "a"))["predictions"]
    told = Tfidf().predict(make_job(), task, data, "test", ("b", "a"))["predictions"]

    assert usual.tolist() == [[False, False]] * 2  # half of the rows have each: not most
    assert told.tolist() == [[True, False], [False, True]]


def test_majority_and_tfidf_give_numbers(make_job):
    train = {"text": ["cheap cup", "dear cup"] * 10, "score": [1.0, 9.0] * 10}
    data = answered({"train": train, "test": {"text": ["cheap", "dear"], "score": [0.0, 0.0]}})

    usual = Majority().predict(make_job(), TextRegression(), data, "test", ())["predictions"]
    told = Tfidf(strengths=(100.0,)).predict(make_job(), TextRegression(), data, "test", ())["predictions"]

    assert usual.tolist() == [5.0, 5.0]
    assert told[0] < 3 < 7 < told[1]


class Section(SimpleNamespace):
    def model_copy(self, update):
        return Section(**{**vars(self), **update})


def test_overlap_gives_the_sentence_with_most_of_the_question_or_none(make_job):
    rows = {
        "question": ["what is a cat", "what is a dog", "猫 是 什么"],
        "context": ["A cat is soft. A tree is tall.", "A cat is soft. A tree is tall.", "树很高。猫很软。"],
    }
    right = [["A cat is soft."], [], ["猫很软。"]]
    answers = pa.array([{"text": texts, "answer_start": [0] * len(texts)} for texts in right], ANSWERS)
    data = Data(split("train", (), **rows, answers=answers), split("test", (), **rows))

    outputs = Overlap().predict(make_job(), QuestionAnswering(), data, "test", ())

    assert outputs["predictions"] == ["A cat is soft.", "", "猫很软。"]


def test_the_threshold_of_overlap_does_not_divide_rows_that_are_as_alike():
    numbers = range(5)
    contexts = [f"a{n} b{n}. c{n} d{n}" for n in numbers]
    answers = [[], [], [], ["a3 b3."], ["a4 b4."]]

    model = SentenceOverlap.learned([f"a{n} b{n}" for n in numbers], contexts, answers)

    assert [model.answer(f"a{n} b{n}", contexts[n]) for n in numbers] == [""] * 5  # right for three of five


def test_from_scratch_repeats_the_finetune_section_with_new_weights():
    finetune = Section(from_=None, model=None, tokenizer=None, learning_rate=5e-4, head_learning_rate=2e-3, epochs=3)
    finetune.frozen_layers, finetune.layerwise_lr_decay = 2, 0.9
    finetune.data = "stars"
    pipeline = SimpleNamespace(
        prepare={}, file="x.yaml", finetune=finetune, pretrain=SimpleNamespace(model="a bert", data="corpus")
    )

    needs = validate(FromScratch, {"learning_rates": [1e-4, 0.001]}).needs(pipeline)
    trained = {name: need.made[1] for name, need in needs.items()}

    assert list(trained) == ["0.0001", "0.001"]
    assert [section.learning_rate for section in trained.values()] == [1e-4, 1e-3]
    assert all((s.model, s.tokenizer, s.head_learning_rate) == ("a bert", "corpus", None) for s in trained.values())
    assert all(section.epochs == 3 for section in trained.values())
    assert all((s.frozen_layers, s.layerwise_lr_decay) == (None, 1.0) for s in trained.values())


def test_from_scratch_without_an_architecture_is_a_configuration_error():
    finetune = Section(from_="./bert", model=None, tokenizer=None)

    with pytest.raises(ConfigError, match="from_scratch takes architecture and tokenizer from the pretrain section"):
        FromScratch().needs(SimpleNamespace(file="x.yaml", finetune=finetune, pretrain=None))


def test_from_scratch_says_before_anything_is_made_that_it_cannot_choose():
    finetune = Section(from_=None, model="a bert", tokenizer="corpus", data="stars")
    stars = SimpleNamespace(split=SimpleNamespace(validation=0.0))
    pipeline = SimpleNamespace(file="x.yaml", finetune=finetune, pretrain=None, prepare={"stars": stars})

    with pytest.raises(ConfigError, match="chooses its learning rate on a validation split"):
        FromScratch().needs(pipeline)

    assert list(FromScratch(learning_rates=(1e-3,)).needs(pipeline)) == ["0.001"]


def scratch(tmp_path, rate, best):
    manifest = Manifest("checkpoint", "finetune", 1, rate, {}, {}, {}, {"best": best})
    return Artifact(tmp_path / rate, "checkpoint", rate, manifest)


def test_from_scratch_will_not_choose_a_learning_rate_without_validation(make_job, tmp_path):
    job = make_job(
        inputs={f"from_scratch:{rate}": scratch(tmp_path, rate, None) for rate in ("0.0003", "0.001", "0.003")}
    )

    with pytest.raises(ConfigError, match="chooses its learning rate on a validation split, and the dataset has none"):
        FromScratch().predict(job, TextClassification(), reviews(), "test", ("bad", "good"))


def test_tfidf_retrieval_finds_texts_by_shared_rare_words(make_job):
    texts = ["the red ball", "the blue cup", "the green hat"]
    data = Data(
        split("train", (), text=texts, text_pair=["red", "blue", "green"]),
        split(
            "test", (), text=["a red ball", "the blue cup", "a hat", "odd"], text_pair=["red", "the cup", "red", "?"]
        ),
    )
    job = make_job()

    outputs = TfidfRetrieval().predict(job, Similarity(), data, "test", ())

    assert [ranks.tolist() for ranks in outputs["ranks"]] == [[1], [1], [3], [3]]  # nothing shared: behind all others
    assert job.console.lines == ["tfidf_retrieval: 13 n-grams of the train split"]
    assert TfidfRetrieval().can_do(Similarity())
    assert not TfidfRetrieval().can_do(Similarity(graded=True))
    assert Tfidf().can_do(Similarity(graded=True))


# ---------------------------------------------------------------- linear probe


def test_a_linear_probe_learns_labels_from_a_frozen_checkpoint(make_job, pretrained, reviews):
    dataset = open_dataset(reviews.folder)
    job = make_job(inputs={"linear_probe:from": pretrained})

    outputs = LinearProbe().predict(job, TextClassification(), dataset, "test", ("good", "bad"))

    right = references_of(dataset["test"], TextClassification(), ("good", "bad"))
    assert (outputs["predictions"] == right).mean() > 0.6
    assert "features, C" in job.console.lines[-1]
    assert "by validation accuracy" in job.console.lines[-1]


def test_a_linear_probe_takes_what_the_finetune_section_starts_from():
    def needed(probe, **settings):
        section = validate(finetune.Config, {"data": "stars", "num_train_epochs": 1, **settings})
        return probe.needs(SimpleNamespace(file="x.yaml", finetune=section))["from"].reference.value

    given = validate(LinearProbe, {"from": "./bert"})
    teacher = {"method": {"type": "distillation", "from": "./teacher", "layers": 1}}

    assert needed(LinearProbe()) == "pretrain"
    assert needed(LinearProbe(), **teacher) == "./teacher"
    assert needed(LinearProbe(), **teacher, **{"from": "./mini"}) == "./mini"
    assert needed(given, model="bert") == "./bert"
    with pytest.raises(ConfigError, match="linear_probe takes the checkpoint that the finetune section starts from"):
        needed(LinearProbe(), model="bert")
