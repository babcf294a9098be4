"""Graders: from an answer to a grade, from cheap ones to other models."""

from service.graders.aggregate import Gap, Rate, by_class, gap, rate, tuned_against_base
from service.graders.calibration import Agreement, calibrate, read_calibration
from service.graders.context import Ask, Asked, Judge, Similar
from service.graders.grader import GRADE, Graders, grader_id, judges_of
from service.graders.refusal import Verdict, classify

__all__ = [
    "GRADE",
    "Agreement",
    "Ask",
    "Asked",
    "Gap",
    "Graders",
    "Judge",
    "Rate",
    "Similar",
    "Verdict",
    "by_class",
    "calibrate",
    "classify",
    "gap",
    "grader_id",
    "judges_of",
    "rate",
    "read_calibration",
    "tuned_against_base",
]
