"""The sentence that a mistake is answered with."""

from ferjax.errors import UserError
from ferjax.training.run import FailedSeeds


def test_a_sentence_is_one_line_whatever_the_names_in_it_hold():
    assert str(UserError("There is nothing at é/\U0001f600.")) == "There is nothing at é/\U0001f600."
    assert str(UserError("There is nothing at a\nb\x1b[31m\udc80.")) == r"There is nothing at a\nb\x1b[31m\udc80."
    assert str(FailedSeeds("a\nb", {})) == r"a\nb"
