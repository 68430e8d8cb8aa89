"""The one exception that the command line turns into a sentence and exit code 1."""


class UserError(Exception):
    """A mistake that the person at the keyboard can mend; the message is one sentence: what, where, and the remedy."""
