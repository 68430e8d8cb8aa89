"""Why a request is refused: a status of HTTP and one sentence."""


class Refusal(Exception):  # noqa: N818 - a mistake of who asks, not of the program
    """Ends a request with `status` and an answer {"error": sentence}; `retry_after_s` says when to ask again."""

    def __init__(self, status: int, sentence: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.retry_after_s = status, sentence, retry_after_s
