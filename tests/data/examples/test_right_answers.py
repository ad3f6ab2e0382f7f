"""Right answers: found where they stand, and scrubbed with their text."""

import pyarrow as pa
import pytest
from bmtool.data.examples.right_answers import nearest, scrub_answers, with_texts
from bmtool.data.rows import ANSWERS
from bmtool.data.text.scrub import scrub
from bmtool.scrubbers.email import Email

KEY = b"k" * 32


@pytest.mark.parametrize(
    ("answer", "start", "place"),
    [("a", 0, 0), ("a", 3, 4), ("a", 2, 0), ("a", 99, 8), ("a", -1, 0), ("東", 0, 6), ("x", 0, -1), ("", 0, -1)],
)
def test_the_occurrence_closest_to_the_given_place_is_taken(answer, start, place):
    assert nearest("a b a 東 a", answer, start) == place


def test_texts_are_changed_and_places_stay():
    answers = pa.array([{"text": ["x"], "answer_start": [7]}, {"text": ["a", "b"], "answer_start": [1, 2]}], ANSWERS)

    changed = with_texts(answers.slice(1), lambda flat: pa.array([text.upper() for text in flat.to_pylist()]))

    assert changed.to_pylist() == [{"text": ["A", "B"], "answer_start": [1, 2]}]


@pytest.mark.parametrize("replace", ["tag", "pseudonym"])
def test_answers_lose_what_their_text_loses_also_parts_of_it(replace):
    text = "Schreibt an jo.doe@example.com, sagt er über x@y.org."
    given = ["jo.doe@example.com", "doe@exam", "an jo.doe", "sagt er", "über x@y.org.", "not there: a@b.org"]
    answers = pa.array([{"text": given, "answer_start": [0] * len(given)}], ANSWERS)
    scrubbers = [Email(replace=replace)]
    scrubbed = scrub(pa.array([text]), scrubbers, KEY).texts

    [found] = scrub_answers(answers, pa.array([text]), scrubbed, scrubbers, KEY).to_pylist()

    first, second = (one for one in scrubbed[0].as_py().replace(".", " ").replace(",", " ").split() if "[" in one)
    alone = scrub(pa.array(["not there: a@b.org"]), scrubbers, KEY).texts[0].as_py()
    assert found["text"] == [first, first, f"an {first}", "sagt er", f"über {second}.", alone]
    assert all(one in scrubbed[0].as_py() for one in found["text"][:-1])
