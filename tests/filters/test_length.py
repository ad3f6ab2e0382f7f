import pyarrow as pa
import pytest
from bmtool.config.model import ValidationError, validate
from bmtool.filters.length import Length


def test_characters_are_counted_and_both_limits_are_inside():
    keep = Length(min_chars=2, max_chars=3).keep(pa.array(["a", "ab", "abc", "abcd", "你好", "你", ""]))

    assert keep.to_pylist() == [False, True, True, False, True, False, False]


@pytest.mark.parametrize("settings", [{"min_chars": 5, "max_chars": 4}, {"min_chars": 0}, {"min_words": 3}])
def test_limits_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValidationError):
        validate(Length, settings)
