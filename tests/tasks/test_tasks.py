"""Tasks: which token a word is judged by, what is cut, what logits mean, and that they can be learned."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import torch
from bmtool.contracts import HeadTask
from bmtool.data.dataset import open_dataset
from bmtool.data.examples.labelled import with_labels
from bmtool.data.rows import ANSWERS
from bmtool.data.tokenizing.tokenizers import load_tokenizer
from bmtool.errors import ConfigError, DataError
from bmtool.models.decoding.writing import Writing
from bmtool.models.files.inference import Rows
from bmtool.models.goals.supervised import head_logits
from bmtool.registry import TASKS
from bmtool.tasks.question_answering import QuestionAnswering
from bmtool.tasks.similarity import Similarity
from bmtool.tasks.text_classification import TextClassification
from bmtool.tasks.text_regression import TextRegression
from bmtool.tasks.token_classification import TokenClassification

TAGS = ("B-PER", "I-PER", "O")


@pytest.fixture(scope="module")
def tokenizer(corpus):
    return load_tokenizer(open_dataset(corpus.folder).tokenizer_folder)


def texts(labels=("bad", "good"), /, **columns):
    return Rows(pa.table(columns), labels, "train")


def two_sentences():
    """Rows whose words have one or more tokens each."""
    words = [["we", "saw", "anna", "smith"], ["evening", "qqqq", "ben"], []]
    tags = [[2, 2, 0, 1], [2, 2, 0], []]
    return Rows(pa.table({"words": words, "tags": pa.array(tags, pa.list_(pa.int64()))}), TAGS, "train")


# ---------------------------------------------------------------- text


def test_a_text_is_encoded_and_what_does_not_fit_is_cut_and_counted(tokenizer):
    split = texts(text=["we saw the film", "the"], label=[1, 0])

    examples = TextClassification().examples(split, tokenizer, 5)

    assert examples.packed_lengths.tolist() == [5, 3]
    assert examples.cut == {"texts_cut": 1, "tokens_cut": 1}
    assert examples.columns["references"].tolist() == [1, 0]
    batch = TextClassification().collate(examples, np.asarray([1, 0]), np.random.default_rng(0))
    tokens = [tokenizer.id_to_token(i) for i in batch.input_ids[0].tolist()]
    assert tokens == ["[CLS]", "the", "[SEP]", "[CLS]", "we", "saw", "the", "[SEP]"]
    assert batch.targets["labels"].tolist() == [0, 1]
    assert batch.counts == {"cross_entropy": 2}


def test_texts_without_labels_can_be_read_but_not_judged(tokenizer):
    task = TextClassification()
    examples = task.examples(texts(text=["we saw"]), tokenizer, 8)
    batch = task.collate(examples, np.asarray([0]), np.random.default_rng(0))

    outputs = task.read(np.asarray([[0.0, 2.0]], np.float32), batch, examples)

    assert set(outputs) == {"predictions", "probabilities"}
    [answer] = task.present(outputs, examples.labels).to_pylist()
    assert answer == {"label": "good", "score": pytest.approx(np.exp(2) / (1 + np.exp(2)))}


def test_a_missing_label_is_a_data_error(tokenizer):
    with pytest.raises(DataError) as error:
        TextClassification().examples(texts(text=["a", "b"], label=[1, None]), tokenizer, 8)

    assert str(error.value) == "split 'train': 1 values of column 'label' are missing"


def test_one_row_of_logits_for_many_texts_is_a_bug_that_is_caught(tokenizer):
    task = TextClassification()
    examples = task.examples(texts(text=["a", "b"], label=[1, 0]), tokenizer, 8)
    batch = task.collate(examples, np.arange(2), np.random.default_rng(0))

    with pytest.raises(ValueError, match=r"logits of shape \(1, 2\), not \(2, 2\)"):
        task.read(np.zeros((1, 2), np.float32), batch, examples)


def test_an_empty_text_is_still_a_document_where_no_special_tokens_are_put_around():
    from tokenizers import Tokenizer, models, pre_tokenizers

    bare = Tokenizer(models.WordLevel({"<|endoftext|>": 0, "a": 1, "?": 2}, unk_token="?"))
    bare.pre_tokenizer = pre_tokenizers.Whitespace()
    bare.add_special_tokens(["<|endoftext|>"])
    task = TextClassification()

    examples = task.examples(texts(text=["a a", "", " "], label=[0, 1, 0]), bare, 8)
    batch = task.collate(examples, np.arange(3), np.random.default_rng(0))

    assert batch.input_ids.tolist() == [[1, 1, 0, 0]]
    assert batch.cu_seq_lens.tolist() == [0, 2, 3, 4]


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("tags", "spans", "first"),
    [
        (("B-PER", "I-PER", "O"), None, "f1_span"),
        (("I-PER", "O"), None, "f1_span"),
        (("NAME", "O"), None, "f1_span"),
        (("ADJ", "NOUN", "VERB"), None, "accuracy"),
        (("1", "2", "3"), None, "accuracy"),
        (("body", "title"), True, "f1_span"),
        (("B-cell", "T-cell"), False, "accuracy"),
    ],
)
def test_tags_are_judged_by_what_they_are(tags, spans, first):
    task = TokenClassification(spans=spans)

    fitted = task.fitted(SimpleNamespace(labels=tags))

    assert fitted.metrics[0] == first
    assert fitted.spans == (first == "f1_span")
    assert set(fitted.metrics) == set(task.metrics)


def test_a_word_is_judged_by_its_first_token(tokenizer):
    task = TokenClassification()
    examples = task.examples(two_sentences(), tokenizer, 32)

    batch = task.collate(examples, np.asarray([1, 2, 0]), np.random.default_rng(0))

    tokens = [tokenizer.id_to_token(i) for i in batch.input_ids[0].tolist()]
    judged = [tokens[place] for place in batch.targets["positions"].tolist()]
    assert judged[0] == "evening"[: len(judged[0])]
    assert judged[2:] == ["ben", "we", "saw", "anna", "smith"]
    assert [TAGS[i] for i in batch.targets["labels"].tolist()] == ["O", "O", "B-PER", "O", "O", "B-PER", "I-PER"]
    assert len(tokens) > 7 + 3 * 2  # some word has more than one token
    assert batch.counts == {"cross_entropy": 7}


@pytest.mark.parametrize("stride", [0, 1, 2, 9])
def test_a_long_text_is_read_in_windows_and_each_word_is_judged_once_where_it_has_most_context(tokenizer, stride):
    task, rows = TokenClassification(stride=stride), two_sentences()
    examples = task.examples(rows, tokenizer, 7)  # room for five tokens
    batch = task.collate(examples, np.arange(len(examples)), np.random.default_rng(0))
    whole = task.examples(rows, tokenizer, 32)
    whole_batch = task.collate(whole, np.arange(len(whole)), np.random.default_rng(0))
    ids = batch.input_ids[0].numpy()

    outputs = task.read(np.eye(3, dtype=np.float32)[ids % 3], batch, examples)
    merged = task.merged(outputs, rows.num_rows)
    right = task.read(np.eye(3, dtype=np.float32)[whole_batch.input_ids[0].numpy() % 3], whole_batch, whole)

    assert len(examples) > rows.num_rows
    assert int(examples.packed_lengths.max()) <= 7
    assert not any(examples.cut.values())
    for name, values in task.merged(right, rows.num_rows).items():
        for ours, theirs in zip(merged[name], values, strict=True):
            np.testing.assert_allclose(ours, theirs, err_msg=name)
    assert merged["targets"].tolist() == [4, 3, 0]
    assert batch.counts == {"cross_entropy": 7}


def test_as_many_tags_as_words_are_needed(tokenizer):
    rows = Rows(
        pa.table({"words": [["a", "b"], ["c"]], "tags": pa.array([[0], [1]], pa.list_(pa.int64()))}), TAGS, "train"
    )

    with pytest.raises(DataError) as error:
        TokenClassification().examples(rows, tokenizer, 8)

    assert str(error.value) == ("split 'train': row 0 has 2 words and 1 tags; 1 rows differ. Each word needs one tag")


def test_reading_tags_equals_reading_each_document_alone(tokenizer):
    task = TokenClassification()
    examples = task.examples(two_sentences(), tokenizer, 32)
    batch = task.collate(examples, np.asarray([1, 2, 0]), np.random.default_rng(0))
    logits = np.random.default_rng(0).normal(size=(batch.num_tokens, 3)).astype(np.float32)
    borders = batch.cu_seq_lens.tolist()

    together = task.read(logits, batch, examples)

    for place, row in enumerate(batch.rows.tolist()):
        alone = task.collate(examples, np.asarray([row]), np.random.default_rng(0))
        outputs = task.read(logits[borders[place] : borders[place + 1]], alone, examples)
        for name, values in together.items():
            np.testing.assert_array_equal(values[place], outputs[name][0], err_msg=name)


# ---------------------------------------------------------------- pairs, several labels, numbers


def test_a_pair_is_joined_and_cut_as_the_tokenizer_does_it(tokenizer):
    texts_a = ["we saw the film", "the", "the evening was dull and the film was long", "", "film film film"]
    texts_b = ["dull", "the evening was dull and the film was long", "we saw a film and it was dull", "the", ""]
    split = texts(text=texts_a, text_pair=texts_b, label=[0] * 5)
    task = TextClassification(pair=True)

    for length in (7, 8, 9, 12, 40):
        examples = task.examples(split, tokenizer, length)
        tokenizer.enable_truncation(length, strategy="longest_first")
        expected = tokenizer.encode_batch(list(zip(texts_a, texts_b, strict=True)))
        tokenizer.no_truncation()
        batch = task.collate(examples, np.arange(5), np.random.default_rng(0))

        assert batch.input_ids[0].tolist() == [i for one in expected for i in one.ids]
        assert batch.token_type_ids[0].tolist() == [i for one in expected for i in one.type_ids]
        full = tokenizer.encode_batch(list(zip(texts_a, texts_b, strict=True)))
        assert examples.cut == {
            "texts_cut": sum(len(one.ids) > length for one in full),
            "tokens_cut": sum(max(0, len(one.ids) - length) for one in full),
        }


def test_a_pair_needs_a_tokenizer_that_tells_texts_apart():
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    with pytest.raises(DataError, match="puts nothing between two texts"):
        TextClassification(pair=True).examples(
            texts(text=["a"], text_pair=["a"]), Tokenizer(WordLevel({"a": 0}, unk_token="a")), 8
        )


def test_several_labels_are_those_that_are_likelier_than_not(tokenizer):
    task, rows = CASES["multi_label"]
    examples = task.examples(rows, tokenizer, 16)
    batch = task.collate(examples, np.arange(4), np.random.default_rng(0))
    logits = np.asarray([[1, -1, 9], [-1, -2, -3], [0, 0, 1], [5, 5, 5]], np.float32)

    outputs = task.read(logits, batch, examples)

    assert task.present(outputs, examples.labels)["labels"].to_pylist() == [
        ["dull", "long"],
        [],
        ["long"],
        ["dull", "funny", "long"],
    ]
    assert examples.columns["references"].tolist() == [
        [True, False, True],
        [False, False, False],
        [False, True, False],
        [True, False, False],
    ]


def test_numbers_are_learned_in_standard_deviations_from_their_mean(tokenizer):
    task, rows = CASES["text_regression"]
    examples = task.examples(rows, tokenizer, 16)

    fitted = task.fitted(examples)

    references = examples.columns["references"]
    assert fitted.mean == pytest.approx(references.mean())
    assert fitted.scale == pytest.approx(references.std())
    batch = fitted.collate(examples, np.arange(4), np.random.default_rng(0))
    outputs = fitted.read(np.asarray([[0.0], [1.0], [0.0], [-1.0]], np.float32), batch, examples)
    assert outputs["predictions"].tolist() == pytest.approx([150, 150 + fitted.scale, 150, 150 - fitted.scale])
    assert fitted.model_dump(exclude={"labels"})["mean"] == fitted.mean  # kept with the checkpoint


@pytest.mark.parametrize("number", [3.0, 0.1, 0.0])
def test_numbers_that_are_all_alike_have_a_scale_of_one(number, tokenizer):
    rows = Rows(pa.table({"text": ["a", "b", "a"], "score": [number] * 3}), (), "train")

    assert TextRegression().fitted(TextRegression().examples(rows, tokenizer, 16)).scale == 1


# ---------------------------------------------------------------- answers to questions


def asked(question="who saw it", context="we saw the film", text=("the film",), start=(7,), **more):
    columns = {"question": [question], "context": [context]}
    answers = pa.array([{"text": list(text), "answer_start": list(start)}], ANSWERS)
    return Rows(pa.table({**columns, "answers": answers, **more}), (), "train")


def best_of(task, examples, tokenizer, wanted):
    """What is read where the tokens `wanted` of each window, (first, last) in characters of its context, score most."""
    batch = task.collate(examples, np.arange(len(examples)), np.random.default_rng(0))
    logits = np.zeros((batch.num_tokens, 2), np.float32)
    for window, (first, last) in wanted.items():
        start = int(batch.cu_seq_lens[window]) + int(examples.columns["context_starts"][window])
        places = examples.columns["places"][window]
        logits[start + int(np.flatnonzero(places[:, 1] > first)[0]), 0] = 5
        logits[start + int(np.flatnonzero(places[:, 0] < last)[-1]), 1] = 5
    return task.merged(task.read(logits, batch, examples), int(examples.columns["row"].max()) + 1)


def test_a_question_and_its_context_are_joined_as_the_tokenizer_does_it(tokenizer):
    task, rows = QuestionAnswering(), asked()
    examples = task.examples(rows, tokenizer, 32)

    batch = task.collate(examples, np.asarray([0]), np.random.default_rng(0))

    expected = tokenizer.encode("who saw it", "we saw the film")
    assert batch.input_ids[0].tolist() == expected.ids
    assert batch.token_type_ids[0].tolist() == expected.type_ids
    first, last = batch.targets["spans"][0].tolist()
    offsets = expected.offsets[first][0], expected.offsets[last][1]
    assert offsets == (7, 15)
    assert batch.counts == {"cross_entropy": 1}


@pytest.mark.parametrize(
    ("context", "answer"),
    [
        ("we saw\xa0the   film, twice!", "the   film"),
        ("東京は日本の首都です。", "日本の首都"),
        ("北京是中华人民共和国的首都", "首都"),
        ("Cafe\u0301 Müller öffnet früh 😀", "Müller öffnet"),
        ("ПРИВЕТ, МИР", "МИР"),
    ],
)
def test_answers_are_parts_of_the_context_in_every_script(tokenizer, context, answer):
    start = context.index(answer)
    task, rows = QuestionAnswering(), asked(context=context, text=[answer], start=[start])
    examples = task.examples(rows, tokenizer, 64)
    first, last = examples.columns["spans"][0] - examples.columns["context_starts"][0]
    places = examples.columns["places"][0]

    found = best_of(task, examples, tokenizer, {0: (start, start + len(answer))})

    assert context[places[first, 0] : places[last, 1]].strip() in context
    assert answer in found["predictions"][0]
    assert context[found["starts"][0] :].startswith(found["predictions"][0])


def test_a_byte_level_tokenizer_gives_whole_characters():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytes_only = Tokenizer(models.BPE({token: place for place, token in enumerate([*alphabet, "<s>"])}, []))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.add_special_tokens(["<s>"])
    place = bytes_only.token_to_id("<s>")
    bytes_only.post_processor = processors.TemplateProcessing("<s> $A <s>", "<s> $A <s> $B <s>", [("<s>", place)])
    context = "die Hauptstadt 東京 ist groß"
    task, rows = QuestionAnswering(), asked(context=context, text=["東京"], start=[15])
    examples = task.examples(rows, bytes_only, 128)

    assert best_of(task, examples, bytes_only, {0: (15, 17)})["predictions"] == ["東京"]
    assert examples.columns["spans"][0][1] - examples.columns["spans"][0][0] == 5  # six bytes


def test_a_long_context_is_read_in_windows_and_the_best_of_all_is_the_answer(tokenizer):
    context = "the evening was dull and the film was long " * 8 + "but lovely"
    start = context.index("lovely")
    task, rows = QuestionAnswering(stride=4), asked(context=context, text=["lovely"], start=[start])

    examples = task.examples(rows, tokenizer, 32)

    spans = examples.columns["spans"]
    assert len(examples) > 3
    assert examples.packed_lengths.max() <= 32
    assert (spans[:-1] == 0).all()
    assert (spans[-1] > 0).all()
    seen = np.concatenate([places[:, 1] for places in examples.columns["places"]])
    assert set(seen.tolist()) == {end for _, end in tokenizer.encode(context, add_special_tokens=False).offsets}
    found = best_of(task, examples, tokenizer, {len(examples) - 1: (start, start + 6)})
    assert found["predictions"] == ["lovely"]
    assert found["starts"].tolist() == [start]
    assert found["targets"].tolist() == [len(examples)]


def test_no_answer_is_given_unless_a_span_scores_more_than_the_first_token(tokenizer):
    rows = asked(text=[], start=[])
    examples = QuestionAnswering().examples(rows, tokenizer, 32)

    lead = best_of(QuestionAnswering(), examples, tokenizer, {0: (7, 15)})
    none = best_of(QuestionAnswering(no_answer_threshold=10), examples, tokenizer, {0: (7, 15)})

    assert lead["scores"].tolist() == none["scores"].tolist() == [10]
    assert lead["predictions"] == ["the film"]
    assert QuestionAnswering().present(none, ()).to_pylist() == [{"answer": "", "score": 10.0, "start": None}]
    assert lead["references"] == [[]]


def test_no_span_is_longer_than_allowed(tokenizer):
    examples = QuestionAnswering(max_answer_tokens=1).examples(asked(), tokenizer, 32)

    found = best_of(QuestionAnswering(max_answer_tokens=1), examples, tokenizer, {0: (7, 15)})

    assert found["predictions"][0] in {"the", "film"}


def test_an_answer_that_is_not_in_its_context_is_counted_and_not_learned(tokenizer):
    task, rows = QuestionAnswering(), asked(text=["a cat"], start=[0])

    examples = task.examples(rows, tokenizer, 32)
    batch = task.collate(examples, np.asarray([0]), np.random.default_rng(0))
    loss = task.losses(small_bert(tokenizer, task, ()), batch)["cross_entropy"]

    assert examples.cut == {"questions_cut": 0, "answers_not_found": 1, "answers_over_max_answer_tokens": 0}
    assert batch.counts == {"cross_entropy": 0}
    assert loss.item() == 0
    assert best_of(task, examples, tokenizer, {})["references"] == [["a cat"]]


@pytest.mark.parametrize(
    ("context", "answer"), [("we saw the film ", "the film "), ("\u200dthe film was long", "\u200dthe film")]
)
def test_an_answer_that_begins_or_ends_where_no_token_is_is_learned_by_the_tokens_it_has(tokenizer, context, answer):
    rows = asked(context=context, text=[answer], start=[context.index(answer)])

    examples = QuestionAnswering().examples(rows, tokenizer, 32)

    first, last = examples.columns["spans"][0] - examples.columns["context_starts"][0]
    places = examples.columns["places"][0]
    assert context[places[first, 0] : places[last, 1]] == "the film"


def test_an_answer_without_a_token_is_not_found(tokenizer):
    rows = asked(context="we saw \u200d it", text=["\u200d"], start=[7])

    examples = QuestionAnswering().examples(rows, tokenizer, 32)

    assert examples.cut["answers_not_found"] == 1
    assert (examples.columns["spans"] < 0).all()


def test_answers_that_are_longer_than_what_is_given_are_counted(tokenizer):
    counts = [QuestionAnswering(max_answer_tokens=most).examples(asked(), tokenizer, 32).cut for most in (1, 30)]

    assert [count["answers_over_max_answer_tokens"] for count in counts] == [1, 0]


def test_a_long_question_is_cut_and_counted(tokenizer):
    examples = QuestionAnswering(max_question_tokens=2).examples(asked(), tokenizer, 32)

    assert examples.cut["questions_cut"] == 1
    assert examples.columns["context_starts"].tolist() == [4]


def test_a_context_without_tokens_has_no_answer(tokenizer):
    task, rows = QuestionAnswering(), asked(context="\u200d", text=[], start=[])
    examples = task.examples(rows, tokenizer, 32)

    found = best_of(task, examples, tokenizer, {})

    assert found["predictions"] == [""]
    assert task.present(found, ()).to_pylist() == [{"answer": "", "score": None, "start": None}]


def test_no_room_for_question_and_context_is_a_data_error(tokenizer):
    with pytest.raises(DataError) as error:
        QuestionAnswering().examples(asked(), tokenizer, 4)

    assert str(error.value) == "max_seq_length 4 leaves no room for a question and a context"


@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "distilbert", "modernbert", "deberta-v2"])
def test_the_loss_is_that_of_transformers_for_each_window_alone(family, tokenizer):
    from bmtool.models.building.build import new_model
    from transformers import AutoConfig

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "dim": 32}
    sizes |= {"n_layers": 2, "n_heads": 2, "hidden_dim": 64, "embedding_size": 32, "pad_token_id": 0}
    config = AutoConfig.for_model(family, vocab_size=tokenizer.get_vocab_size(), type_vocab_size=2, **sizes)
    task, rows = CASES["question_answering"]
    model = new_model(config, task.auto_class, task.head_labels(()), seed=0).eval()
    examples = task.examples(rows, tokenizer, 16)
    batch = task.collate(examples, np.arange(len(examples)), np.random.default_rng(0))

    with torch.inference_mode():
        ours = float(task.losses(model, batch)["cross_entropy"])
        theirs, borders = 0.0, batch.cu_seq_lens.tolist()
        for window, (first, last) in enumerate(batch.targets["spans"].tolist()):
            inside = slice(borders[window], borders[window + 1])
            logits = head_logits(task.head, model, task.collate(examples, np.asarray([window]), None))
            alone = torch.from_numpy(logits)
            expected = torch.nn.functional.cross_entropy(alone.T, torch.tensor([first, last]), reduction="mean")
            theirs += float(expected)
            if family in {"bert", "electra"}:
                types = batch.token_type_ids[:, inside]
                plain = new_model(config, task.auto_class, task.head_labels(()), seed=0, attention="eager").eval()
                loss = plain(
                    input_ids=batch.input_ids[:, inside],
                    token_type_ids=types,
                    start_positions=torch.tensor([first]),
                    end_positions=torch.tensor([last]),
                ).loss
                assert float(loss) == pytest.approx(float(expected), abs=1e-5)

    assert len(examples) > rows.num_rows
    assert ours == pytest.approx(theirs, abs=1e-5 * len(examples))


def test_an_architecture_without_such_a_head_is_a_clear_error(tmp_path, tokenizer):
    from bmtool.models.building.build import new_model
    from bmtool.models.files.checkpoint import open_model
    from transformers import AutoConfig

    config = AutoConfig.for_model("cohere", vocab_size=64, hidden_size=32, num_hidden_layers=1, num_attention_heads=2)
    model = new_model(config, "AutoModelForCausalLM", attention="any")
    model.save_pretrained(tmp_path)
    tokenizer.save(str(tmp_path / "tokenizer.json"))

    with pytest.raises(ConfigError) as error:
        open_model(tmp_path, QuestionAnswering.auto_class, ("start", "end"))

    assert str(error.value) == f"{tmp_path}: a 'cohere' model has no class for AutoModelForQuestionAnswering"


# ---------------------------------------------------------------- every task


FOUR = ["we saw a lovely film", "an awful week", "it was dull", "a great evening"]
SECOND = ["dull", "evening", "dull", "dull"]
SETS = pa.array([[0, 2], [], [1], [0]], pa.list_(pa.int64()))

#: Two answers, one of them Chinese, and none.
QUESTIONS = Rows(
    pa.table(
        {
            "question": ["what was dull", "首都在哪里", "who was long"],
            "context": ["the film was lovely and the evening was dull", "首都 是 北京", "the film was great"],
            "answers": pa.array(
                [
                    {"text": ["the evening"], "answer_start": [24]},
                    {"text": ["北京"], "answer_start": [-1]},
                    {"text": [], "answer_start": []},
                ],
                ANSWERS,
            ),
        }
    ),
    (),
    "train",
)

#: Each task in all its forms, with a few rows that can be learned by heart.
CASES = {
    "text_classification": (TextClassification(), texts(text=FOUR, label=[1, 0, 0, 1])),
    "pair": (TextClassification(pair=True), texts(text=FOUR, text_pair=SECOND, label=[1, 0, 0, 1])),
    "multi_label": (TextClassification(multi_label=True), texts(("dull", "funny", "long"), text=FOUR, labels=SETS)),
    "text_regression": (TextRegression(), texts((), text=FOUR, score=[100.0, 200.0, 250.0, 50.0])),
    "number_of_a_pair": (TextRegression(pair=True), texts((), text=FOUR, text_pair=SECOND, score=[1.0, 0.0, 3.0, 1.0])),
    "graded_similarity": (Similarity(graded=True), texts((), text=FOUR, text_pair=SECOND, score=[1.0, 0.0, 3.0, 1.0])),
    "token_classification": (TokenClassification(), two_sentences()),
    "question_answering": (QuestionAnswering(stride=4), QUESTIONS),
}


def test_every_task_is_tested():
    writing = {name for name in TASKS.names() if issubclass(TASKS.load(name), Writing)}  # in test_writing.py
    assert {task.name() for task, _ in CASES.values()} | writing == set(TASKS.names())


def small_bert(tokenizer, task, labels):
    from bmtool.architectures.bert import Bert
    from bmtool.models.building.build import new_model

    config = Bert(hidden_size=32, num_attention_heads=2, dropout=0.0).config(
        vocab_size=tokenizer.get_vocab_size(), max_seq_length=32, special_ids={"pad": 0}
    )
    return new_model(config, task.auto_class, task.head_labels(labels), seed=0)


@pytest.mark.parametrize("name", CASES)
def test_a_task_learns_a_few_rows_by_heart(name, tokenizer):
    torch.set_num_threads(1)
    task, rows = CASES[name]
    examples = task.examples(rows, tokenizer, 32)
    task = task.fitted(examples)
    model = small_bert(tokenizer, task, examples.labels)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    batch = task.collate(examples, np.arange(len(examples)), np.random.default_rng(0))

    for step in range(100):
        optimizer.param_groups[0]["lr"] = 5e-3 * (1 - step / 100)
        loss = sum(task.losses(model, batch).values()) / sum(batch.counts.values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.inference_mode():
        outputs = task.merged(task.outputs(model.eval(), batch, examples), rows.num_rows)

    assert loss < 0.1
    if task.of_kind("answers"):
        assert [[text] if text else [] for text in outputs["predictions"]] == outputs["references"]
    else:
        tolerance = 0 if task.has_labels else 0.1 * task.scale
        for predicted, true in zip(outputs["predictions"], outputs["references"], strict=True):
            np.testing.assert_allclose(predicted, true, rtol=0, atol=tolerance)
    assert outputs["nll"].sum() / outputs["targets"].sum() == pytest.approx(loss.item(), abs=0.05)


@pytest.mark.parametrize("name", CASES)
def test_the_loss_is_the_likelihood_that_outputs_report(name, tokenizer):
    task, rows = CASES[name]
    examples = task.examples(rows, tokenizer, 32)
    task = task.fitted(examples)
    model = small_bert(tokenizer, task, examples.labels).eval()
    batch = task.collate(examples, np.arange(len(examples)), np.random.default_rng(0))

    with torch.inference_mode():
        loss = sum(task.losses(model, batch).values())
        outputs = task.outputs(model, batch, examples)

    assert outputs["nll"].sum() == pytest.approx(float(loss), rel=1e-5)
    assert outputs["targets"].sum() == sum(batch.counts.values())


@pytest.mark.parametrize("name", CASES)
def test_an_answer_does_not_depend_on_what_else_is_in_the_batch(name, tokenizer):
    task, rows = CASES[name]
    examples = task.examples(rows, tokenizer, 32)
    model = small_bert(tokenizer, task, examples.labels).eval()
    rng = np.random.default_rng(0)

    with torch.inference_mode():
        together = task.outputs(model, task.collate(examples, np.arange(len(examples)), rng), examples)
        for row in range(len(examples)):
            alone = task.outputs(model, task.collate(examples, np.asarray([row]), rng), examples)
            for column, values in together.items():
                if isinstance(values[row], str | list):
                    assert values[row] == alone[column][0]
                else:
                    np.testing.assert_allclose(values[row], alone[column][0], atol=1e-5, err_msg=column)


HEADS = [name for name, (task, _) in CASES.items() if isinstance(task, HeadTask)]


@pytest.mark.parametrize("name", HEADS)
def test_read_gives_for_logits_what_outputs_gives_for_the_model(name, tokenizer):
    task, rows = CASES[name]
    examples = task.examples(rows, tokenizer, 32)
    model = small_bert(tokenizer, task, examples.labels).eval()
    batch = task.collate(examples, np.arange(len(examples)), np.random.default_rng(0))

    with torch.inference_mode():
        outputs = task.outputs(model, batch, examples)
        logits = head_logits(task.head, model, batch)
    read = task.read(logits, batch, examples)

    assert outputs.keys() == read.keys()
    for column, values in outputs.items():
        for ours, theirs in zip(values, read[column], strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", [name for name, (task, _) in CASES.items() if task.has_labels])
def test_labels_are_mapped_by_name_and_strange_ones_are_refused(name, tokenizer):
    task, rows = CASES[name]
    examples = task.examples(rows, tokenizer, 32)
    turned = tuple(reversed(examples.labels))

    mapped = with_labels(examples, turned)

    for ours, theirs in zip(examples.columns["references"], mapped.columns["references"], strict=True):
        if ours.dtype == np.bool_:
            np.testing.assert_array_equal(ours[::-1], theirs)
        else:
            assert np.take(examples.labels, ours).tolist() == np.take(turned, theirs).tolist()
    with pytest.raises(DataError, match="the data has labels that the model was not trained on"):
        with_labels(examples, ("something", "else"))


@pytest.mark.parametrize("name", HEADS)
def test_nothing_in_gives_nothing_out(name, tokenizer):
    task, rows = CASES[name]
    empty = Rows(rows.table.slice(0, 0), rows.labels)
    examples = task.examples(empty, tokenizer, 32)
    batch = task.collate(task.examples(rows, tokenizer, 32), np.asarray([0]), np.random.default_rng(0))
    from dataclasses import replace

    nothing = replace(batch, cu_seq_lens=torch.zeros(1, dtype=torch.int32), rows=np.zeros(0, np.int64))

    outputs = task.merged(
        task.read(np.zeros((0, len(task.head_labels(examples.labels))), np.float32), nothing, examples), 0
    )

    assert len(examples) == 0
    assert task.present(outputs, examples.labels).num_rows == 0
