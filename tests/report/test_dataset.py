import json
import re
from html.parser import HTMLParser

import pytest
from bmtool.report.dataset import write_dataset_report

SMALLEST = {
    "task": None,
    "splits": {"train": 7},
    "ledger": {"rows_in": 10, "rows_out": 7, "dropped": {"not JSON": 1, "length": 2}},
    "rejected": 1,
}
FULL = {
    **SMALLEST,
    "task": {"type": "text_classification"},
    "splits": {"train": 5, "validation": 2},
    "funnel": [
        {"step": "read", "rows": 10},
        {"step": "readable", "rows": 9, "bytes": 900, "words": 90},
        {"step": "empty text", "rows": 9, "bytes": 900, "words": 90},
        {"step": "length", "rows": 7, "bytes": 600, "words": 61},
    ],
    "by_rule": {"length": {"min_chars": 2, "max_chars": 0}},
    "scrubbed": {"email": 17, "iban": 0},
    "labels": ["neg", "pos"],
    "label_counts": {"train": {"neg": 4, "pos": 1}, "validation": {"neg": 2, "pos": 0}},
    "tokens": {},
    "text_bytes": {"train": 400, "validation": 200},
    "lengths": {"train": {"p50": 60, "p90": 90, "p99": 99, "max": 101}, "validation": {}},
    "length_unit": "bytes",
    "length_histogram": {"train": [[16, 2], [128, 3]], "validation": [[64, 2]]},
    "languages": {"en": 6, "zh": 1},
    "top_copies": [{"kept": "k" * 32, "copies": 41}],
    "overlap": {
        "validation": {
            "rows": 2,
            "similar": 1,
            "edited": 1,
            "examples": [["a" * 32, "b" * 32, 0.875]],
            "edited_examples": [["e" * 32, "f" * 32, 0.917]],
        }
    },
    "contaminated": {"prepare/exams": 3},
    "conflicting_labels": {
        "rows": 1,
        "examples": [{"id": "c" * 32, "label": "pos", "kept": "d" * 32, "kept_label": "neg"}],
    },
    "split_by_cluster": {"rows": 4, "moved": 1},
    "sources": {"0": {"name": "raw/a.jsonl", "rows_in": 10, "rows": 7, "bytes": 600, "words": 61}},
    "rejected_by_reason": {"not JSON": 1},
    "rejected_by_file": {"raw/a.jsonl": 1},
    "rules": {
        "length": {
            "min_chars": {"rows": 2, "bytes": 300, "words": 29},
            "max_chars": {"rows": 0, "bytes": 0, "words": 0},
        }
    },
    "tokens_per_word": None,
    "cleaned": {"whitespace": 5, "unicode": 0},
    "scripts": {"Latin": 6, "Han": 1},
    "throughput": {
        "write": {"cpu_seconds": 0.001, "mb": 2.0, "mb_per_second": None},
        "read": {"cpu_seconds": 2.5, "mb": 50.0, "mb_per_second": 20.0},
    },
}


class Tables(HTMLParser):
    """The page as a reader without styles has it: headings, tables as lists of rows, notes."""

    def __init__(self):
        super().__init__()
        self.open, self.rows, self.text = [], [], {}

    def handle_starttag(self, tag, attrs):
        if tag in {"tr", "h2", "p", "td", "th"}:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_data(self, data):
        if not self.open:
            return
        if self.open[-1] in {"td", "th"}:
            self.rows[-1][-1] += data.replace("\N{NO-BREAK SPACE}", " ")
        elif self.open[-1] in {"h2", "p"}:
            self.text.setdefault(self.open[-1], []).append(data.replace("\N{NO-BREAK SPACE}", " "))


def page(folder, report, name="reviews: stars"):
    write_dataset_report(folder, report, name)
    return (folder / "report.html").read_text(encoding="utf-8")


def read(folder, report):
    tables = Tables()
    tables.feed(page(folder, report))
    return tables


def test_every_number_is_there_as_text(tmp_path):
    rows = read(tmp_path, FULL).rows

    for row in (
        ["length", "7", "2", "600", "61"],
        ["length.min_chars", "2", "22.2 %", "300", "29", ""],
        ["length.max_chars", "0", "0.0 %", "0", "0", "drops nothing"],
        ["train", "5", "71.4 %", "400", "60", "90", "99", "101"],
        ["16 to 31", "2", "0"],
        ["neg", "4", "2", "80.0 %"],
        ["k" * 32, "41"],
        ["c" * 32, "pos", "d" * 32, "neg"],
        ["validation", "2", "1", "1", "100.0 %"],
        ["validation", "a" * 32, "b" * 32, "0.8750"],
        ["validation", "e" * 32, "f" * 32, "0.9170"],
        ["prepare/exams", "3"],
        ["en", "6", "85.7 %"],
        ["raw/a.jsonl", "10", "7", "600", "61"],
        ["email", "17", ""],
        ["iban", "0", "finds nothing"],
        ["whitespace", "5", ""],
        ["unicode", "0", "changes nothing"],
        ["reading: unpacking, parsing, checking", "2.5000", "50.00", "20.00"],
        ["writing shards", "0.0010", "2.0000", "-"],
        ["not JSON", "1"],
        ["raw/a.jsonl", "1"],
    ):
        assert row in rows


def test_a_corpus_shows_tokens_that_are_counted_or_estimated_and_says_which(tmp_path):
    steps = [dict(one) for one in FULL["funnel"]]
    steps[1]["estimated_tokens"], steps[2]["estimated_tokens"], steps[3]["tokens"] = 135, 135, 92
    lost = {"length": {"min_chars": {"rows": 2, "bytes": 300, "words": 29, "estimated_tokens": 43}}}
    report = {**FULL, "task": None, "funnel": steps, "rules": lost, "tokens_per_word": 92 / 61}

    rows, text = read(tmp_path, report).rows, page(tmp_path, report)

    assert ["length", "7", "2", "600", "61", "92"] in rows
    assert ["readable", "9", "1", "900", "90", "135"] in rows
    assert ["length.min_chars", "2", "22.2 %", "300", "29", "43", ""] in rows
    assert "estimated from the words, at the 1.51 tokens a word" in text
    assert "words stand for them" in page(tmp_path, FULL)


def test_steps_stand_in_their_order_and_a_run_that_did_none_says_so(tmp_path):
    text = page(tmp_path, FULL)

    assert text.index("reading: unpacking") < text.index("writing shards")
    assert "nothing was worked on again" in page(tmp_path, {**FULL, "throughput": {}})


def test_no_byte_outside_of_the_last_section_depends_on_how_long_it_took(tmp_path):
    pages = [page(tmp_path, {**FULL, "throughput": took}) for took in (FULL["throughput"], {})]

    parts = [text.partition("<h2>Throughput</h2>") for text in pages]
    assert parts[0][:2] == parts[1][:2]
    assert parts[0][2].partition("</section>")[2] == parts[1][2].partition("</section>")[2]
    assert "<section" not in parts[0][2]


def test_where_languages_are_not_told_it_says_how_to_have_them_told(tmp_path):
    without = {key: value for key, value in FULL.items() if key != "languages"}

    assert "`bmtool list filters language`" in page(tmp_path, without)
    assert "`bmtool list filters language`" not in page(tmp_path, FULL)


def test_what_needs_a_look_stands_at_the_top(tmp_path):
    notes = read(tmp_path, FULL).text["p"]

    assert notes[1:6] == [
        "1 of 10 rows (10.0 %) could not be read.",
        "1 of 2 validation rows (50.0 %) have a similar row in train.",
        "1 of 2 validation rows (50.0 %) have a row in train that differs in a word.",
        "1 copies had another label than the row that stays.",
        "No validation row has the label pos.",
    ]


def test_a_rule_that_drops_nearly_everything_is_a_warning(tmp_path):
    report = {**FULL, "by_rule": {"length": {"min_chars": 9}}}

    assert "length.min_chars drops 9 of 9 rows (100.0 %): is it set right?" in read(tmp_path, report).text["p"]


def test_what_was_not_measured_is_not_on_the_page(tmp_path):
    optional = set(FULL) - set(SMALLEST)

    absent = page(tmp_path, SMALLEST)
    null = page(tmp_path, {**SMALLEST, **dict.fromkeys(optional)})

    assert absent == null
    assert re.findall(r"<h2>(.*?)</h2>", absent) == ["Rows in, rows out", "Splits"]


@pytest.mark.parametrize("left_out", sorted(set(FULL) - set(SMALLEST)))
def test_each_part_may_be_missing(tmp_path, left_out):
    report = {key: value for key, value in FULL.items() if key != left_out}

    assert "</html>" in page(tmp_path, report)


def test_the_page_is_a_function_of_the_report_alone(tmp_path):
    other = tmp_path / "elsewhere"
    other.mkdir()

    first = page(tmp_path, FULL)
    second = page(other, json.loads(json.dumps(FULL)))

    assert first == second
    assert str(tmp_path) not in first


def test_the_order_of_keys_changes_nothing(tmp_path):
    report = {
        **FULL,
        "by_rule": {"length": {"min_chars": 2, "max_chars": 0}, "early": {"b": 1, "a": 1}},
        "funnel": [*FULL["funnel"][:3], {"step": "early", "rows": 8, "bytes": 1, "words": 1}, FULL["funnel"][3]],
        "sources": {str(i): {"name": f"s{i}", "rows_in": 1, "rows": 1, "bytes": 1, "words": 1} for i in range(12)},
    }

    text = page(tmp_path, report)

    assert text == page(tmp_path, json.loads(json.dumps(report, sort_keys=True)))
    assert text.index("early.<wbr>a") < text.index("early.<wbr>b") < text.index("length.<wbr>min_<wbr>chars")
    assert text.index("<td>s9<") < text.index("<td>s10<")


def test_names_from_data_stay_text(tmp_path):
    label = "<img src=x onerror=alert(1)>\x1b[31m"
    report = {
        **FULL,
        "labels": [label, "pos"],
        "label_counts": {"train": {label: 4, "pos": 1}},
        "sources": {"0": {"name": "数据/<script>.csv", "rows_in": 1, "rows": 1, "bytes": 1, "words": 1}},
    }

    text = page(tmp_path, report, name="<b>名字</b>")

    assert "<img" not in text
    assert "<script" not in text
    assert "\x1b" not in text
    assert "<title>&lt;b&gt;名字&lt;/b&gt;</title>" in text


def test_the_page_needs_no_script_and_loads_nothing(tmp_path):
    text = page(tmp_path, FULL)

    assert "<script" not in text
    assert "javascript:" not in text
    assert not re.search(r"https?://|@import|url\(", text)


def test_a_funnel_shows_what_a_step_took(tmp_path):
    text = page(tmp_path, FULL)

    assert '<b style="width:70.00%"></b><b class="lost" style="width:20.00%"></b></i>' in text


def test_an_empty_bin_of_the_histogram_is_shown(tmp_path):
    rows = read(tmp_path, FULL).rows

    names = [row[0] for row in rows if " to " in row[0]]
    assert names == ["16 to 31", "32 to 63", "64 to 127", "128 to 255"]


def test_many_labels_are_cut_to_the_most_frequent_ones_and_it_says_so(tmp_path):
    counts = {f"label {i}": 1 + i for i in range(500)}
    report = {**FULL, "labels": list(counts), "label_counts": {"train": counts}}

    read_page = read(tmp_path, report)

    shown = [row[0] for row in read_page.rows if row[0].startswith("label ")]
    assert len(shown) == 200
    assert shown[0] == "label 499"
    assert "300 rarer labels are in report.json." in read_page.text["p"]


def test_a_long_table_scrolls_in_its_own_box(tmp_path):
    one = FULL["sources"]["0"]
    report = {**FULL, "sources": {str(i): {**one, "name": f"part {i}"} for i in range(200)}}

    text = page(tmp_path, report)

    assert text.count('<div class="scroll tall" tabindex="0">') == 1
    assert "200 sources, in their order" in text
    assert "part 199" in text


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [(0, 9, "0.0 %"), (1, 10_000, "< 0.1 %"), (9_999, 10_000, "> 99.9 %"), (9, 9, "100.0 %")],
)
def test_a_share_is_never_rounded_to_none_or_all(tmp_path, part, whole, shown):
    report = {**FULL, "overlap": {"test": {"rows": whole, "similar": part, "edited": 0, "examples": []}}}

    assert ["test", f"{whole:,}", f"{part:,}", "0", shown] in read(tmp_path, report).rows
