import re
from html.parser import HTMLParser

from bmtool.report import plots
from bmtool.report.page import Figure, Note, Number, Numbers, Section, Table, render, write_report


class Structure(HTMLParser):
    """Checks that tags are closed in order, and keeps attributes and texts."""

    VOID = {"meta", "br", "wbr"}

    def __init__(self):
        super().__init__()
        self.open, self.attributes, self.texts = [], [], []

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data.strip())


def page():
    return render(
        title="reviews <script>alert(1)</script>",
        facts={"data": "stars & co"},
        sections=[
            Section("Result", [Numbers([Number("accuracy", "0.87", "0.85 to 0.89")]), Note("passed", "good")]),
            Section("Table", [Table(["model", "n"], [["<b>ours</b>", 1500], ["tfidf", None]], "a & b", strong=0)]),
            Section(
                "Drawings",
                [
                    Figure(plots.line_chart([plots.Line("a<b", [1, 2], [3, 4])], x_label="step", y_label="loss")),
                    Figure(plots.confusion_matrix([[3, 1], [0, 2]], ["<x>", "好"]), "a caption"),
                ],
            ),
        ],
    )


def test_every_tag_is_closed_in_order():
    structure = Structure()

    structure.feed(page())

    assert structure.open == []


def test_no_text_of_the_caller_becomes_markup():
    text = page()

    assert "<script" not in text
    assert "<b>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_the_page_names_nothing_outside_itself():
    structure = Structure()

    structure.feed(page())

    links = [value for name, value in structure.attributes if name in {"src", "href", "xlink:href", "data", "action"}]
    assert all(link.startswith("#") for link in links)
    assert not re.search(r"https?://|@import|url\(", page())


def test_numbers_are_right_aligned_and_grouped():
    text = page()

    assert '<td class="n">1,500</td>' in text
    assert '<td class="n">-</td>' in text
    assert '<tr class="strong"><td>&lt;b&gt;ours' in text


def test_the_page_has_a_dark_and_a_printed_form():
    assert "prefers-color-scheme: dark" in page()
    assert "@media print" in page()


def test_write_report_writes_what_render_gives(tmp_path):
    write_report(tmp_path / "report.html", title="t", facts={}, sections=[])

    assert (tmp_path / "report.html").read_text() == render(title="t", facts={}, sections=[])
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_bars_are_as_long_as_their_numbers_and_start_at_one_line():
    table = Table(["step", "rows"], [["read", 2000], ["kept", 500], ["unknown", None]], bars=(1,))

    text = render(title="t", facts={}, sections=[Section("s", [table])])

    assert re.findall(r"<b style=\"width:(.*?)%\">", text) == ["100.00", "25.00"]
    assert re.findall(r"<span style=\"min-width:(.*?)\">(.*?)</span>", text) == [
        ("5ch", "2,000"),
        ("5ch", "500"),
        ("5ch", "-"),
    ]
