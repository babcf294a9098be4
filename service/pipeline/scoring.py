"""What the pipeline needs to know about scores."""

from collections.abc import Sequence
from typing import Protocol

from service.records import Prompt, Scores
from service.vocabulary import Vocabulary


class Scoring(Protocol):
    """Turns prompts into row-aligned numbers. The same text gives the same numbers for the same bundle.

    May also have ``shadow``: a scoring of the same prompts by second bundles, used after this one on the same batch; a model without
    one has the same bundle in both.
    """

    def score(self, prompts: Sequence[Prompt]) -> Scores:
        """Score a batch; prompts of several models may be mixed. Used from the pipeline's thread only."""
        ...

    def bundle(self, model_name: str) -> str:
        """Digest of the bundle that scores this model now."""
        ...

    def topics(self, model_name: str) -> int:
        """Number of reference topics of that bundle."""
        ...

    def vocabulary(self, model_name: str) -> Vocabulary | None:
        """The words of that bundle that may leave the worker; None when it has no list."""
        ...
