"""The one exception that the command line turns into a sentence and exit code 1."""


class UserError(Exception):
    """A mistake that the person at the keyboard can mend; the message is one sentence: what, where, and the remedy.

    It is one line, whatever characters the names in it have.
    """

    def __str__(self) -> str:
        return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in super().__str__())
