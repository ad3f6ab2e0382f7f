import yaml
from bmtool.report.card import Measured, ModelFacts, render, write_model_card
from huggingface_hub import ModelCard

FACTS = ModelFacts(
    name="reviews",
    goal="text_classification",
    labels=["1", "5", "多云|x"],
    model={"parameters": 600_000, "max_seq_length": 128},
    data={"name": "stars", "fingerprint": "3f9a0c11d2e4", "train rows": 900},
    metrics=[Measured("accuracy", 0.871, "validation", 1500, 0.85, 0.89), Measured("f1_macro", 0.86, "validation")],
    training={"learning_rate": 5e-4},
    versions={"torch": "2.13.0"},
)


def test_the_hub_reads_the_metadata_and_the_results(tmp_path):
    write_model_card(tmp_path, FACTS)

    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.pipeline_tag == "text-classification"
    assert card.data.library_name == "transformers"
    results = {result.metric_type: result for result in card.data.eval_results}
    assert results["accuracy"].metric_value == 0.871
    assert results["accuracy"].dataset_name == "stars"
    assert results["accuracy"].dataset_split == "validation"


def test_intervals_rows_and_labels_are_in_the_text():
    text = render(FACTS)

    assert "| accuracy | validation | 0.8710 | 0.8500 | 0.8900 | 1,500 |" in text
    assert "| 2 | 多云\\|x |" in text
    assert "| train rows | 900 |" in text


def test_what_is_not_known_is_not_said():
    text = render(ModelFacts(name="r", goal="mlm"))

    front = yaml.safe_load(text.split("---")[1])
    assert front == {"library_name": "transformers", "tags": ["bmtool", "mlm"], "pipeline_tag": "fill-mask"}
    assert "## Labels" not in text
    assert "## Measured" not in text
