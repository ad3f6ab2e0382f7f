"""scripts/check_clean_text on tiny files: what is one text, and which rules drop how many."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "check_clean_text"


def output_of(*arguments) -> str:
    done = subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def sentences(path, paragraphs):
    rows = [
        {"words": [*sentence, "。" if is_ended else "报"], "group": group}
        for group, (number, is_ended) in enumerate(paragraphs)
        for sentence in [f"今天是新年的第{n}天大家都很高兴" for n in range(number)]
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_headline_begins_a_text_and_too_few_sentences_are_told_from_a_script_that_has_no_full_stop(tmp_path):
    path = sentences(tmp_path / "news.jsonl", [(1, False), (6, True), (8, True), (1, False), (1, False), (3, True)])

    lines = output_of(path, "--least", "1").splitlines()

    assert lines[0].startswith("news.jsonl: 2 texts, ")
    [few] = [line.split() for line in lines if "c4.min_num_sentences" in line]
    assert few[1:3] == ["50.00%", "1"]
    assert " ".join(few).endswith("<- more than 5 % (of them 1 have too few full stops)")


def test_an_entry_of_a_feed_is_a_text_without_tags_and_summaries_are_left_out(tmp_path):
    body = "<![CDATA[<p>ข่าววันนี้</p>" + "<p>อากาศดีมากและทุกคนมีความสุข</p>" * 9 + "]]>"
    entry = f"<item><description>short</description><content:encoded>{body}</content:encoded></item>"
    feed = f'<?xml version="1.0" encoding="tis-620"?><rss>{entry}<item><description>ข่าว...</description></item></rss>'
    path = tmp_path / "feed.xml"
    path.write_bytes(feed.encode("tis-620"))

    lines = output_of(path).splitlines()

    assert lines[0] == "feed.xml: 1 texts, 262 characters each"
    assert not any("c4" in line for line in lines)


def test_sentences_are_joined_to_texts_of_as_many_as_asked(tmp_path):
    path = sentences(tmp_path / "news.jsonl", [(20, True)])

    assert output_of(path, "--join", "10", "--least", "1").startswith("news.jsonl: 2 texts, ")
