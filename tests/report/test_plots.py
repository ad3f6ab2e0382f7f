import math
import re
from xml.etree import ElementTree

import pytest
from bmtool.report.plots import WIDTH, Interval, Line, confusion_matrix, interval_chart, line_chart


def shapes(svg, tag):
    return ElementTree.fromstring(svg).findall(f".//{tag}")


def test_a_curve_falls_where_its_values_fall():
    svg = line_chart([Line("train", [0, 1, 2], [9.0, 5.0, 1.0])], x_label="step", y_label="loss")

    points = [tuple(map(float, p.split(","))) for p in shapes(svg, "polyline")[0].get("points").split()]
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert [y for _, y in points] == sorted(y for _, y in points)  # y grows downwards
    assert points[1][1] == pytest.approx((points[0][1] + points[2][1]) / 2)


def test_a_value_that_is_not_finite_is_a_gap():
    svg = line_chart([Line("train", range(5), [1, 2, math.nan, 3, 4])], x_label="step", y_label="loss")

    assert len(shapes(svg, "polyline")) == 2
    assert "nan" not in svg


def test_a_logarithmic_axis_leaves_equal_ratios_equally_far_apart():
    svg = line_chart([Line("train", [0, 1, 2], [100.0, 10.0, 1.0])], x_label="step", y_label="loss", log=True)

    ys = [float(p.split(",")[1]) for p in shapes(svg, "polyline")[0].get("points").split()]
    assert ys[1] - ys[0] == pytest.approx(ys[2] - ys[1], abs=0.2)


@pytest.mark.parametrize("values", [[], [math.nan]])
def test_nothing_to_draw_is_said(values):
    assert "nothing was measured" in line_chart([Line("a", range(len(values)), values)], x_label="s", y_label="l")


def test_one_point_is_a_dot():
    assert len(shapes(line_chart([Line("a", [3], [0.0])], x_label="s", y_label="l"), "circle")) == 1


def test_a_long_curve_is_thinned_and_keeps_its_spike():
    values = [1.0] * 50_000
    values[33_333] = 80.0

    svg = line_chart([Line("train", range(50_000), values)], x_label="step", y_label="loss")

    points = shapes(svg, "polyline")[0].get("points").split()
    ys = [float(p.split(",")[1]) for p in points]
    assert len(points) < 1100
    assert max(ys) - min(ys) > 200


def test_a_confusion_matrix_shows_counts_and_names_each_cell():
    svg = confusion_matrix([[90, 10], [0, 50]], ["neg <", "pos"])

    titles = [title.text for title in shapes(svg, "title")]
    texts = [text.text for text in shapes(svg, "text")]
    assert titles[:2] == ["neg < taken for neg <: 90 of 100 (90%)", "neg < taken for pos: 10 of 100 (10%)"]
    assert {"90", "10", "50"} <= set(texts)
    assert "0" not in texts


def test_a_confusion_matrix_of_many_labels_fits_and_leaves_counts_to_the_titles():
    labels = [f"a rather long label {i}" for i in range(60)]

    svg = confusion_matrix([list(range(60)) for _ in range(60)], labels)

    right = max(float(r.get("x")) + float(r.get("width")) for r in shapes(svg, "rect"))
    assert right <= WIDTH
    assert not [text for text in shapes(svg, "text") if re.fullmatch(r"\d+", text.text)]


def test_a_label_without_rows_divides_by_nothing():
    assert "0 of 0 (0%)" in confusion_matrix([[0, 0], [1, 2]], ["a", "b"])


def test_whiskers_span_their_interval_on_one_axis():
    svg = interval_chart(
        [Interval("model", 0.6, 0.5, 0.7, strong=True), Interval("tfidf", 0.5, 0.4, 0.6)], x_label="accuracy"
    )

    whiskers = [line for line in shapes(svg, "line") if "curve" in line.get("class")]
    (low1, high1), (low2, high2) = [(float(w.get("x1")), float(w.get("x2"))) for w in whiskers]
    assert high1 - low1 == pytest.approx(high2 - low2, abs=0.2)
    assert low1 > low2
    assert "0.6000 (0.5000 to 0.7000)" in svg


def test_equal_values_still_get_an_axis():
    assert interval_chart([Interval("a", 0.0, 0.0, 0.0)], x_label="accuracy").count("<circle") == 1
