"""`init` finds the task by the columns that tasks declare, says why, and writes what `check` accepts."""

import json
from pathlib import Path

import pytest
from bmtool.commands.check import check
from bmtool.commands.init.command import init
from bmtool.console import Console
from bmtool.errors import ConfigError
from bmtool.runner.pipeline import load_pipeline

TURNS = [{"role": "user", "content": "what?"}, {"role": "assistant", "content": "this"}]
LONG = "a long text about many things that goes on and on "
ROWS = {
    "pairs": (
        {"premise": LONG, "hypothesis": "short", "label": ["yes", "no"]},
        {"type": "text_classification", "pair": True},
    ),
    "topics": ({"text": LONG, "labels": [["a"], ["a", "b"]]}, {"type": "text_classification", "multi_label": True}),
    "grades": ({"text": LONG, "score": [0.5, 1.25]}, {"type": "text_regression"}),
    "names": ({"tokens": [["a", "b"]], "ner_tags": [["O", "B"]]}, {"type": "token_classification"}),
    "squad": (
        {"question": "what?", "context": LONG, "answers": {"text": ["a"], "answer_start": [0]}},
        {"type": "question_answering"},
    ),
    "german": ({"source": "a text", "target": "ein Text"}, {"type": "translation"}),
    "news": ({"document": LONG * 3, "summary": "many things"}, {"type": "summarization"}),
    "tasks": ({"instruction": "do it", "response": "done"}, {"type": "generation"}),
    "chats": ({"messages": [TURNS]}, {"type": "generation", "messages": True}),
    "search": ({"anchor": "what is it", "positive": LONG}, {"type": "similarity"}),
    "addresses": ({"tokens": [["a", "b"]], "labels": [["City", "Zip"]]}, {"type": "token_classification"}),
    "answered": ({"question": "what?", "context": LONG, "answer": "a"}, {"type": "question_answering"}),
    "asked": ({"question": "what?", "answer": "this"}, {"type": "generation"}),
    "twice": (
        {"question1": LONG, "question2": "short", "is_duplicate": ["0", "1"]},
        {"type": "text_classification", "pair": True},
    ),
    "titles": ({"body": LONG * 3, "headline": "many things"}, {"type": "summarization"}),
    "rated": ({"sentence1": LONG, "sentence2": LONG, "similarity": [0.5, 1.5]}, {"type": "similarity", "graded": True}),
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(name, columns, count=40):
    with Path(f"{name}.jsonl").open("w") as handle:
        for number in range(count):
            row = {
                key: value[number % len(value)]
                if isinstance(value, list)
                else value
                if isinstance(value, dict)
                else f"{value} {number}"
                for key, value in columns.items()
            }
            handle.write(json.dumps(row) + "\n")
    return Path(f"{name}.jsonl")


@pytest.mark.parametrize("name", list(ROWS))
def test_the_task_is_found_by_the_columns_and_what_is_written_passes_check(name, capsys):
    columns, task = ROWS[name]
    several = {"rated": "similarity"}

    init(write(name, columns), task=several.get(name), console=Console())

    said = capsys.readouterr().err
    assert check([Path(f"{name}.yaml")], as_json=False, console=Console()) == 0
    rows = load_pipeline(Path(f"{name}.yaml")).prepare["rows"]
    found = rows.task.model_dump(mode="json", exclude_defaults=True)
    assert {"type": rows.task.name(), **{key: value for key, value in found.items() if key != "type"}} == task
    assert set(rows.columns.values()) >= set(columns)
    assert f"{task['type']}" in said
    assert "by the columns' names it reads" in said


def test_columns_that_fit_several_tasks_are_asked_about():
    source = write("rated", ROWS["rated"][0])

    with pytest.raises(ConfigError) as error:
        init(source, console=Console())

    assert str(error.value) == (
        "the columns sentence1, sentence2, similarity fit similarity and text_regression. Say which one: "
        "--task similarity"
    )


def test_a_task_whose_columns_are_not_there_says_what_it_reads():
    with pytest.raises(ConfigError, match="--task similarity: it reads text, text_pair or text, text_pair, score, and"):
        init(write("german", ROWS["german"][0]), task="similarity", console=Console())


def test_a_summary_is_told_from_a_translation_by_its_length_and_the_other_one_can_be_chosen(capsys):
    source = write("news", ROWS["news"][0])

    init(source, console=Console())
    assert "if not: --task translation" in capsys.readouterr().err

    init(source, task="translation", force=True, console=Console())
    assert load_pipeline(Path("news.yaml")).prepare["rows"].task.name() == "translation"


@pytest.mark.parametrize("within", [True, False])
def test_languages_are_translated_and_few_characters_of_chinese_are_no_summary(within, capsys):
    pair = {"en": "fatal: the branch is behind", "zh": "致命错误分支落后"}
    row = json.dumps({"translation": pair} if within else pair)
    Path("git.jsonl").write_text(f"{row}\n" * 40)

    init(Path("git.jsonl"), console=Console())

    rows = load_pipeline(Path("git.yaml")).prepare["rows"]
    assert rows.task.name() == "translation"
    assert rows.columns["source"] == ("translation.en" if within else "en")
    assert check([Path("git.yaml")], as_json=False, console=Console()) == 0
    assert "as many words as" in capsys.readouterr().err


def test_a_number_beside_two_texts_is_named(capsys):
    source = write("words", {"word1": "doctor", "word2": "nurse", "human": [7.25, 1.5]})

    init(source, console=Console())
    assert "if 'human' is what is to be learned: --column score=human" in capsys.readouterr().err

    init(source, task="similarity", columns={"score": "human"}, force=True, console=Console())
    assert load_pipeline(Path("words.yaml")).prepare["rows"].task.graded


def test_words_alone_need_an_encoder_that_is_there_and_that_is_said(capsys):
    init(write("names", ROWS["names"][0]), console=Console())

    assert "put an encoder's checkpoint into ./encoder/" in capsys.readouterr().err
    assert str(load_pipeline(Path("names.yaml")).finetune.from_) == "./encoder/"


@pytest.mark.parametrize(
    ("name", "long"),
    [
        ("chats", {"messages": [[{**turn, "content": "many " * 2_000} for turn in TURNS]]}),
        ("names", {"tokens": [["many"] * 4_000], "ner_tags": [["O"] * 4_000]}),
    ],
)
def test_how_long_to_train_follows_from_the_text_in_lists_too(name, long):
    init(write(name, ROWS[name][0]), console=Console())
    few = load_pipeline(Path(f"{name}.yaml")).finetune
    init(write(name, long, count=400), force=True, console=Console())
    many = load_pipeline(Path(f"{name}.yaml")).finetune

    assert (few.num_train_epochs, few.max_tokens) == (20, None)
    assert (many.num_train_epochs, many.max_tokens) == (None, 4_000_000)
