"""Claims of papers: what they are about, the values that agree, and verdicts by intervals over seeds."""

from .between import Between
from .estimands import Contrast, Estimand, Median, Order, Probability, Student, exponent, mean
from .farthest import MaximalError
from .restricted import RestrictedDifference
from .shares import within
from .steps import crossing, interpolated_step, quotient
from .verdicts import ALPHA, FAILS, HOLDS, LEVEL, OPEN, Claim, Verdict, judge, most, near
from .written import again, as_json, as_markdown

__all__ = [
    "ALPHA",
    "FAILS",
    "HOLDS",
    "LEVEL",
    "OPEN",
    "Between",
    "Claim",
    "Contrast",
    "Estimand",
    "MaximalError",
    "Median",
    "Order",
    "Probability",
    "RestrictedDifference",
    "Student",
    "Verdict",
    "again",
    "as_json",
    "as_markdown",
    "crossing",
    "exponent",
    "interpolated_step",
    "judge",
    "mean",
    "most",
    "near",
    "quotient",
    "within",
]
