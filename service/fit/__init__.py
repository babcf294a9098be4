"""``tiltmeter fit``: from a fine-tuning set to a bundle."""

from service.fit.fit import fit
from service.fit.progress import Lines, Progress, Silent, terminal_progress
from service.fit.sentence_transformer import DEFAULT_ENCODER

__all__ = ["DEFAULT_ENCODER", "Lines", "Progress", "Silent", "fit", "terminal_progress"]
