import pytest

from switchgear.core.data_class import DataClass, strictest


def test_they_compare_by_strictness_and_not_by_their_letters() -> None:
    assert sorted(DataClass, reverse=True) == [
        DataClass.RESTRICTED,
        DataClass.CONFIDENTIAL,
        DataClass.INTERNAL,
        DataClass.PUBLIC,
    ]
    assert DataClass.PUBLIC < DataClass.INTERNAL <= DataClass.CONFIDENTIAL
    assert max(DataClass.INTERNAL, DataClass.CONFIDENTIAL) is DataClass.CONFIDENTIAL
    assert not DataClass.INTERNAL < DataClass.CONFIDENTIAL.INTERNAL


def test_a_word_is_no_data_class() -> None:
    with pytest.raises(TypeError, match="DataClass"):
        assert DataClass.PUBLIC < "restricted"
    assert DataClass("restricted") == "restricted"


def test_the_strictest_of_what_is_given() -> None:
    assert strictest([None, DataClass.PUBLIC, DataClass.INTERNAL], DataClass.RESTRICTED) is DataClass.INTERNAL
    assert strictest([None, None], DataClass.RESTRICTED) is DataClass.RESTRICTED
    assert strictest([], DataClass.CONFIDENTIAL) is DataClass.CONFIDENTIAL
