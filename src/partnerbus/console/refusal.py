"""What a page says when it cannot do what was asked."""

from partnerbus.kernel.errors import PartnerbusError


class Refused(PartnerbusError):
    """It cannot be done; `status` is HTTP's, and the text is for whoever asked."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
