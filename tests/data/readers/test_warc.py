import gzip
import sys
import zlib
from pathlib import Path

import pytest
from bmtool.errors import DataError

pytest.importorskip("resiliparse")

from bmtool.sources.warc import Warc

sys.path.insert(0, str(Path(__file__).parents[2]))
from reading import read_file

KINDS = {"text": "text", "title": "extra", "url": "extra", "date": "extra"}
PAGE = "<html><title>T</title><body><article><p>Some text of the page: 你好.</p></article></body></html>".encode()


def record(kind, block, **headers):
    lines = {"WARC-Type": kind, "WARC-Target-URI": "<https://e.org/>", "WARC-Date": "2026-11-24T10:00:00Z"}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()} | {"Content-Length": len(block)}
    return (
        b"WARC/1.1\r\n" + b"".join(f"{k}: {v}\r\n".encode() for k, v in lines.items()) + b"\r\n" + block + b"\r\n\r\n"
    )


def response(body=PAGE, status="200 OK", content_type="text/html; charset=utf-8", **headers):
    lines = {"Content-Type": content_type} | {name.replace("_", "-"): value for name, value in headers.items()}
    head = f"HTTP/1.1 {status}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return record("response", head.encode() + b"\r\n" + body, Content_Type="application/http; msgtype=response")


def read(tmp_path, *records, pack=b"".join):
    path = tmp_path / "x.warc"
    path.write_bytes(pack(records))
    return read_file(Warc(path=str(path)), KINDS)


def by_member(records):
    return b"".join(map(gzip.compress, records))


@pytest.mark.parametrize("pack", [b"".join, by_member])
def test_pages_come_with_title_url_and_date_by_the_number_of_their_record(tmp_path, pack):
    records = [
        record("warcinfo", b"software: x"),
        record("request", b"GET / HTTP/1.1\r\n\r\n", Content_Type="application/http"),
        response(),
        response(status="404 Not Found"),
        response(b"\x89PNG", content_type="image/png"),
        response(b"plain text", content_type="text/plain"),
        record("conversion", "text of a WET file: 你好".encode(), Content_Type="text/plain"),
        record("resource", PAGE, Content_Type="text/html"),
    ]

    rows, rejected = read(tmp_path, *records, pack=pack)

    more = {"url": "https://e.org/", "date": "2026-11-24T10:00:00Z"}
    assert rejected == {}
    assert rows == {
        3: {"text": "Some text of the page: 你好.", "title": "T", **more},
        6: {"text": "plain text", "title": None, **more},
        7: {"text": "text of a WET file: 你好", "title": None, **more},
    }


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (gzip.compress(PAGE), {"Content_Encoding": "gzip"}),
        (zlib.compress(PAGE), {"Content_Encoding": "deflate"}),
        (PAGE, {"Content_Encoding": "gzip"}),  # unpacked by the crawler
        (
            b"10\r\n" + PAGE[:16] + b"\r\n%x;x=y\r\n" % len(PAGE[16:]) + PAGE[16:] + b"\r\n0\r\n\r\n",
            {"Transfer_Encoding": "chunked"},
        ),
        (PAGE, {"Transfer_Encoding": "chunked"}),  # put together by the crawler
    ],
    ids=["gzip", "deflate", "unpacked by the crawler", "chunked", "put together by the crawler"],
)
def test_a_body_is_put_together_and_unpacked(tmp_path, body, headers):
    rows, rejected = read(tmp_path, response(body, **headers))

    assert (rows[1]["text"], rejected) == ("Some text of the page: 你好.", {})


def test_brotli_is_unpacked(tmp_path):
    brotli = pytest.importorskip("brotli")

    rows, rejected = read(
        tmp_path, response(brotli.compress(PAGE), Content_Encoding="br"), response(b"xx", Content_Encoding="br")
    )

    assert (len(rows), rejected) == (1, {2: "a broken HTTP response"})
    assert "more than 16 MiB" in read(tmp_path, response(brotli.compress(bytes(2**26)), Content_Encoding="br"))[1][1]


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (response(gzip.compress(bytes(2**26)), Content_Encoding="gzip"), "a page of more than 16 MiB"),
        (response(b"x" * 2**24 + b"xx"), "a page of more than 16 MiB"),
        (response(b"x" * 2**26), "a page of more than 16 MiB"),
        (response(b"\x1f\x8b damaged", Content_Encoding="gzip"), "a broken HTTP response"),
        (response(gzip.compress(PAGE)[:-9], Content_Encoding="gzip"), "a broken HTTP response"),
        (response(zlib.compress(PAGE)[:30], Content_Encoding="deflate"), "a broken HTTP response"),
        (response(b"5\r\nhello\r\nffff\r\nshort", Transfer_Encoding="chunked"), "a broken HTTP response"),
        (response(b"5\r\nhello\r\nxyz\r\n", Transfer_Encoding="chunked"), "a broken HTTP response"),
        (response(b"x", Content_Encoding="compress"), "a page packed in another way: compress"),
        (
            response(b"\xff\xff\xff", content_type="text/html; charset=euc-kr"),
            "text in another encoding than the page says",
        ),
        (record("conversion", b"\xff", Content_Type="text/plain"), "invalid UTF-8"),
    ],
    ids=[
        "packed",
        "long",
        "longest",
        "damaged",
        "cut gzip",
        "cut deflate",
        "cut",
        "no number",
        "unknown packing",
        "encoding",
        "not UTF-8",
    ],
)
def test_a_page_that_can_not_be_read_is_rejected_and_the_next_one_is_read(tmp_path, page, reason):
    rows, rejected = read(tmp_path, page, response())

    assert list(rows) == [2]
    assert rejected == {1: reason}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (response() + response()[:-60], "record 2 is cut off: the file is damaged. Fetch it again"),
        (
            response() + b"garbage" + response(),
            "record 2 doesn't start with WARC/1: the file is damaged, or no WARC file",
        ),
        (b"<html>", "record 1 doesn't start with WARC/1: the file is damaged, or no WARC file"),
        (
            response().replace(b"Content-Length", b"Content-Len"),
            "record 1 doesn't say how long it is: the file is damaged",
        ),
        (
            response().replace(b"Content-Length: ", b"Content-Length: 999"),
            "record 1 is cut off: the file is damaged. Fetch it again",
        ),
        (
            response().replace(b"Content-Length: ", b"Content-Length: -"),
            "record 1 doesn't say how long it is: the file is damaged",
        ),
    ],
)
def test_a_damaged_archive_stops_instead_of_losing_records(tmp_path, content, message):
    with pytest.raises(DataError) as error:
        read(tmp_path, content)

    assert str(error.value) == f"{tmp_path}/x.warc: {message}"


def test_a_cut_off_gzip_stops(tmp_path):
    with pytest.raises(DataError, match="the gzip stream is damaged or cut off"):
        read(tmp_path, response(), response(), pack=lambda records: by_member(records)[:-20])
