"""Vectors of texts: pairs find each other, equal texts count alike, and nothing depends on a batch but the loss."""

import json

import numpy as np
import pyarrow as pa
import pytest
import torch
from bmtool.architectures.bert import Bert
from bmtool.data.dataset import open_dataset
from bmtool.data.scoring.retrieval import Candidates
from bmtool.data.tokenizing.tokenizers import load_tokenizer
from bmtool.errors import DataError
from bmtool.models.building.build import new_model
from bmtool.models.files.inference import Rows
from bmtool.models.goals.embeddings import ranking_loss
from bmtool.tasks.similarity import Similarity

FIRST = ["we saw a lovely film", "an awful week", "it was dull", "a great evening"]
SECOND = ["lovely", "week", "dull and long", "we saw the evening"]


@pytest.fixture(scope="module")
def tokenizer(corpus):
    return load_tokenizer(open_dataset(corpus.folder).tokenizer_folder)


@pytest.fixture(scope="module")
def bert(tokenizer):
    torch.set_num_threads(1)
    config = Bert(hidden_size=32, num_attention_heads=2, dropout=0.0).config(
        vocab_size=tokenizer.get_vocab_size(), max_seq_length=32, special_ids={"pad": 0}
    )
    return lambda: new_model(config, "AutoModel", seed=0)


def pairs(first=FIRST, second=SECOND):
    return Rows(pa.table({"text": first, "text_pair": second}), (), "train")


def everything(task, examples):
    return task.collate(examples, np.arange(len(examples)), np.random.default_rng(0))


def test_each_text_of_a_row_is_a_document_with_its_own_special_tokens_and_positions(tokenizer):
    examples = Similarity().examples(pairs(["we saw", "the"], ["film", "it was dull"]), tokenizer, 4)

    batch = everything(Similarity(), examples)

    tokens = [tokenizer.id_to_token(i) for i in batch.input_ids[0].tolist()]
    texts = [tokens[a:b] for a, b in zip(batch.cu_seq_lens[:-1], batch.cu_seq_lens[1:], strict=True)]
    assert texts == [
        ["[CLS]", "we", "saw", "[SEP]"],
        ["[CLS]", "film", "[SEP]"],
        ["[CLS]", "the", "[SEP]"],
        ["[CLS]", "it", "was", "[SEP]"],
    ]
    assert batch.position_ids[0].tolist() == [0, 1, 2, 3, 0, 1, 2, 0, 1, 2, 0, 1, 2, 3]
    assert examples.cut == {"texts_cut": 1, "tokens_cut": 1}
    assert batch.counts == {"ranking": 2}
    assert examples.packed_lengths.tolist() == [7, 7]


def test_pairs_learn_to_find_each_other(tokenizer, bert):
    task, model = Similarity(), bert()
    examples = task.examples(pairs(), tokenizer, 32)
    batch = everything(task, examples)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)

    for _ in range(40):
        loss = task.losses(model, batch)["ranking"] / 4
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.inference_mode():
        outputs = task.outputs(model.eval(), batch, examples)

    assert loss < 0.1
    np.testing.assert_allclose(np.linalg.norm(outputs["first"], axis=1), 1, rtol=1e-5)
    assert [row.tolist() for row in task.merged(outputs, 4)["ranks"]] == [[1]] * 4


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_vector_is_the_same_alone_and_beside_others_and_as_transformers_has_it(tokenizer, bert, pooling):
    task, model = Similarity(pooling=pooling), bert().eval()
    together = task.examples(pairs(), tokenizer, 32)
    alone = task.examples(Rows(pa.table({"text": SECOND}), (), "train"), tokenizer, 32)

    with torch.inference_mode():
        outputs = task.outputs(model, everything(task, together), together)
        for row, text in enumerate(SECOND):
            batch = task.collate(alone, np.asarray([row]), np.random.default_rng(0))
            [vector] = task.outputs(model, batch, alone)["embedding"]
            plain = model(input_ids=torch.tensor([tokenizer.encode(text).ids]), **lengths(tokenizer, text))
            states = plain.last_hidden_state[0]
            expected = states.mean(dim=0) if pooling == "mean" else states[0]

            np.testing.assert_allclose(vector, outputs["second"][row], atol=1e-5)
            np.testing.assert_allclose(vector, (expected / expected.norm()).numpy(), atol=1e-5)


def lengths(tokenizer, text):
    """What packed attention needs to know of one document."""
    count = len(tokenizer.encode(text).ids)
    borders = torch.tensor([0, count], dtype=torch.int32)
    return {"cu_seq_lens_q": borders, "cu_seq_lens_k": borders, "max_length_q": count, "max_length_k": count}


def test_rows_that_share_a_text_are_not_taken_for_wrong():
    first = torch.nn.functional.normalize(torch.randn(3, 4, generator=torch.Generator().manual_seed(0)), dim=-1)
    second = torch.roll(first, 1, dims=1)

    def loss(rows, first_ids, second_ids):
        targets = {"first_ids": torch.tensor(first_ids), "second_ids": torch.tensor(second_ids)}
        return float(ranking_loss(first[rows], second[rows], targets, 0.1))

    scores = torch.nn.functional.cosine_similarity(first[:, None], second[None], dim=-1) / 0.1
    both = [torch.log_softmax(values, dim=-1).diagonal() for values in (scores, scores.T)]

    assert loss([0, 1, 2], [0, 1, 2], [0, 1, 2]) == pytest.approx(float(-(both[0] + both[1]).sum() / 2), rel=1e-5)
    assert loss([0, 1], [0, 0], [0, 1]) == 0  # two answers to one question
    assert loss([0, 1], [0, 1], [7, 7]) == 0


def test_ranks_are_those_of_distinct_texts_and_what_is_wrong_comes_first_of_equals():
    #: rows: query 0 has two right answers; the answer "b" stands in two rows
    candidates = Candidates.of(np.asarray([0, 1, 0, 2]), np.asarray([10, 11, 12, 11]))
    similarities = np.asarray(
        [
            [0.9, 0.5, 0.7],
            [0.5, 0.5, 0.1],
            [0.1, 0.5, 0.1],
            [0.0, 0.9, 0.0],
        ]
    )

    ranks = candidates.ranks(lambda start, end: similarities[start:end])

    assert candidates.rows.tolist() == [0, 1, 2]
    assert [row.tolist() for row in ranks] == [[1, 2], [2], [2, 3], [1]]


def test_ranks_do_not_depend_on_how_many_are_made_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    candidates = Candidates.of(rng.integers(0, 30, 50), rng.integers(0, 20, 50))
    similarities = rng.normal(size=(50, len(candidates.rows))).round(1)
    at_once = candidates.ranks(lambda start, end: similarities[start:end])
    monkeypatch.setattr("bmtool.data.scoring.retrieval.SIMILARITIES_AT_ONCE", 45)

    one_by_one = candidates.ranks(lambda start, end: similarities[start:end])

    assert [row.tolist() for row in one_by_one] == [row.tolist() for row in at_once]
    for row, right, values in zip(at_once, candidates.relevant, similarities, strict=True):
        worst = sorted(range(len(values)), key=lambda i: (-values[i], i in right))
        assert row.tolist() == sorted(1 + worst.index(place) for place in right)


def test_a_new_text_gets_a_vector(tokenizer, bert):
    task, model = Similarity(), bert().eval()
    examples = task.examples(Rows(pa.table({"text": FIRST}), (), "input"), tokenizer, 32)
    with torch.inference_mode():
        outputs = task.outputs(model, everything(task, examples), examples)

    table = task.present(task.merged(outputs, 4), ())

    assert dict(task.asked) == {"text": "text"}
    assert np.asarray(table["embedding"].to_pylist(), np.float32).tolist() == outputs["embedding"].tolist()


def test_texts_without_any_token_cannot_be_compared():
    from tokenizers import Tokenizer, models, pre_tokenizers

    bare = Tokenizer(models.WordLevel({"a": 0, "?": 1}, unk_token="?"))
    bare.pre_tokenizer = pre_tokenizers.Whitespace()

    with pytest.raises(DataError) as error:
        Similarity().examples(pairs(["a", " "], ["a", "a"]), bare, 8)

    assert str(error.value) == (
        "split 'train': 1 rows have a text without any token, and this tokenizer puts none around it, so that there is "
        "nothing to compare"
    )


def test_other_libraries_are_told_how_vectors_are_made(tmp_path):
    (tmp_path / "config.json").write_text('{"hidden_size": 32}')

    Similarity(pooling="cls").furnish(tmp_path, 64)

    modules = json.loads((tmp_path / "modules.json").read_text())
    assert [module["path"] for module in modules] == ["", "1_Pooling", "2_Normalize"]
    pooling = json.loads((tmp_path / "1_Pooling" / "config.json").read_text())
    assert (pooling["word_embedding_dimension"], pooling["pooling_mode_cls_token"]) == (32, True)
    assert not pooling["pooling_mode_mean_tokens"]
    assert json.loads((tmp_path / "sentence_bert_config.json").read_text())["max_seq_length"] == 64
