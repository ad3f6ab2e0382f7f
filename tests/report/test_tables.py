import pytest
from bmtool.report.blocks import Table
from bmtool.report.tables import cell_width, cut, markdown, plain, printable, show


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        (None, "-"),
        (True, "yes"),
        (12345, "12,345"),
        (0.87125, "0.8712"),
        (1.2e-5, "1.20e-05"),
        (123.456, "123.46"),
        (123456.7, "123,457"),
        (0.0, "0"),
        (float("nan"), "-"),
        ("text", "text"),
    ],
)
def test_cells_are_shown_as_people_read_them(cell, shown):
    assert show(cell) == shown


def test_markdown_keeps_pipes_and_line_breaks_inside_their_cell():
    text = markdown(Table(["model", "n"], [["a|b\nc", 5]]))

    assert text == "| model | n |\n| --- | ---: |\n| a\\|b c | 5 |\n"


def test_markdown_sets_the_strong_row_in_bold():
    text = markdown(Table(["model", "n"], [["ours", 5], ["theirs", 6]], strong=0))

    assert "| **ours** | **5** |" in text
    assert "| theirs | 6 |" in text


def test_plain_lines_up_numbers_on_the_right():
    text = plain(Table(["model", "n"], [["ours", 1500], ["好评", 7]]))

    assert text == "model      n\n-----  -----\nours   1,500\n好评       7\n"


def test_plain_stays_within_the_width():
    text = plain(Table(["model", "about"], [["ours", "x" * 200]]), width=40)

    assert max(cell_width(line) for line in text.splitlines()) == 40
    assert "…" in text


def test_cut_counts_wide_characters_twice():
    assert cut("好好好", 5) == "好好…"
    assert cut("abc", 3) == "abc"


def test_printable_takes_out_what_could_steer_a_terminal():
    assert printable("a\x1b[2Jb\nc\u202ed") == "a[2Jb cd"
