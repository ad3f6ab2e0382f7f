import gzip
import sys
from pathlib import Path

import pytest
from bmtool.data.readers import whole
from bmtool.errors import ConfigError, DataError
from bmtool.sources.html import Html
from bmtool.sources.markdown import Markdown
from bmtool.sources.text import Text

sys.path.insert(0, str(Path(__file__).parents[2]))
from reading import read_file, read_source

TEXT = {"text": "text"}
PAGE = """<!DOCTYPE html><html><head><title>A title &amp; more</title><script>var x = "<p>no</p>";</script></head>
<body><nav><a href="/">Home</a> <a href="/shop">Shop</a></nav>
<article><h1>Heading</h1><p>The first paragraph of the page, with <b>bold</b> words and a 你好.</p>
<p>The second paragraph is also about something and goes on for a while.</p></article>
<footer>Copyright, imprint, contact</footer></body></html>"""


def test_text_is_read_by_lines_paragraphs_or_files(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes("\ufeffone\r\n  two \r\n\r\n \t\r\nthree\n".encode())

    def rows(kind):
        found, rejected = read_file(Text(path=str(path), rows=kind), {"text": "text", "file": "extra"})
        assert not rejected
        assert {row["file"] for row in found.values()} == {"x.txt"}
        return {line: row["text"] for line, row in found.items()}

    assert rows("lines") == {1: "one", 2: "  two ", 5: "three"}
    assert rows("paragraphs") == {1: "one\r\n  two ", 5: "three"}
    assert rows("files") == {1: "one\r\n  two \r\n\r\n \t\r\nthree\n"}


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("---\ntitle: x\ntags: [a]\n---\n\n# Heading\n\nText.\n", "# Heading\n\nText.\n"),
        ("+++\r\ntitle = 'x'\r\n+++\r\nText.\r\n", "Text.\n"),
        ("---\ntitle: x\n...\nText.\n", "Text.\n"),
        ("---\nnever closed\n\nText.\n", "---\nnever closed\n\nText.\n"),
        ("Text.\n\n---\nmore: text\n---\n", "Text.\n\n---\nmore: text\n---\n"),
        ("---\n---\n", ""),
        ("# *Markup* `stays`\n", "# *Markup* `stays`\n"),
    ],
)
def test_markdown_comes_without_its_front_matter(tmp_path, written, text):
    (tmp_path / "x.md").write_bytes(written.encode())

    rows, rejected = read_file(Markdown(path=str(tmp_path / "x.md")), TEXT)

    assert (rows, rejected) == ({1: {"text": text}}, {})


def test_files_that_are_rows_are_rejected_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(whole, "MAX_FILE_BYTES", 10)
    contents = {
        "bad.md": b"caf\xe9",
        "empty.md": b"",
        "good.md": b"text",
        "nul.md": b"a\0b",
        "sub/packed.md.gz": gzip.compress(b"x"),
    }
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)

    rows, rejected = read_source(Markdown(path=str(tmp_path)), {"text": "text", "file": "extra"})

    assert {row["file"]: row["text"] for row in rows} == {"good.md": "text", "sub/packed.md.gz": "x"}
    assert {one.file: (one.line, one.reason) for one in rejected} == {
        "bad.md": (1, "invalid UTF-8"),
        "nul.md": (1, "NUL character in column 'text'"),
    }


def test_a_file_that_is_too_long_to_be_one_row_is_rejected(tmp_path):
    (tmp_path / "x.md").write_bytes(b"x" * 100)
    source = Markdown(path=str(tmp_path / "x.md"))
    [(name, path)] = source.files()
    [piece] = source.pieces(name, path, "sha")
    rejected = []

    rows = list(whole.read_whole(piece, _reading(rejected), whole.parse_markdown, max_bytes=50))

    assert rows == []
    assert [one.reason for one in rejected] == ["a file of more than 0 MiB"]


def _reading(rejected):
    from bmtool.contracts import Reading
    from bmtool.data.rows import schema_of

    return Reading({}, schema_of(TEXT), rejected.append)


def test_a_column_that_such_files_lack_is_named(tmp_path):
    (tmp_path / "x.md").write_text("text")
    (tmp_path / "x.txt").write_text("text")

    for source in (Markdown(path=str(tmp_path)), Text(path=str(tmp_path))):
        with pytest.raises(DataError) as error:
            read_source(source, {"text": "text", "label": "label"})
        assert str(error.value) == f"{source.name()}: there is no column 'label'. The columns are: text, file"


# ---------------------------------------------------------------- HTML


def html(tmp_path, content):
    pytest.importorskip("resiliparse")
    (tmp_path / "x.html").write_bytes(content)
    rows, rejected = read_file(Html(path=str(tmp_path / "x.html")), {"text": "text", "title": "extra"})
    return rows.get(1) or rejected[1]


@pytest.mark.parametrize(
    "encode",
    [
        lambda page: page.encode(),
        lambda page: b"\xef\xbb\xbf" + page.encode(),
        lambda page: page.encode("utf-16"),
        lambda page: page.replace("<title>", '<meta charset="gb2312"><title>').encode("gb18030"),
    ],
)
def test_the_main_text_of_a_page_comes_in_whatever_encoding(tmp_path, encode):
    row = html(tmp_path, encode(PAGE))

    assert row["title"] == "A title & more"
    assert row["text"].split("\n\n") == [
        "Heading",
        "The first paragraph of the page, with bold words and a 你好.",
        "The second paragraph is also about something and goes on for a while.",
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("<div>" * 100_000 + "x", "HTML nested too deeply"),
        ("<div>" * 600 + "<p>some text</p>" * 40_000, "HTML nested too deeply"),
        ("<p>a\0b</p>", "NUL character in a page"),
        (b'<meta charset="euc-kr"><p>\xff\xff\xff', "text in another encoding than the page says"),
    ],
)
def test_a_page_that_can_not_be_read_is_rejected(tmp_path, content, reason):
    assert html(tmp_path, content if isinstance(content, bytes) else content.encode()) == reason


@pytest.mark.parametrize(
    "content", ["<b><i>" * 2_000, "<p>word " * 50_000, "<!--" * 100_000, "<a b='" + "x" * 1_000_000]
)
def test_a_broken_page_is_read_all_the_same(tmp_path, content):
    assert isinstance(html(tmp_path, content.encode()), dict)


def test_without_the_extra_it_is_said_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "resiliparse", None)

    with pytest.raises(ConfigError) as error:
        Html(path=str(tmp_path)).files()

    assert str(error.value) == (
        'reading HTML needs an extra: pip install "bmtool-pipeline[html]", or from a checkout: pip install -e ".[html]"'
    )
