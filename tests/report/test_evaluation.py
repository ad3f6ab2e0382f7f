"""The report of an evaluation shows what a number needs to be had again."""

from bmtool.contracts import Score
from bmtool.data.scoring.evaluation import Evaluation
from bmtool.report.evaluation import Told, write_evaluation


def test_the_signature_of_a_metric_is_in_the_summary_and_in_the_report(tmp_path):
    signature = "nrefs:1|case:mixed|eff:no|tok:zh|smooth:exp|version:2.6.0"
    evaluation = Evaluation("d", "test", 3, {"bleu": Score(30, 25, 35, 3)}, details={"bleu": {"signature": signature}})

    write_evaluation(tmp_path, [Told(evaluation, [], {"split": "test"}, {})], [])

    for name in ("summary.md", "report.html"):
        text = (tmp_path / name).read_text(encoding="utf-8").replace("\\|", "|")
        assert "bleu, signature" in text
        assert signature in text
