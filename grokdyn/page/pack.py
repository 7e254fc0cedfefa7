"""Arrays as text in a page: rounded to decimal digits or exact, byte planes deflated, base64."""

from __future__ import annotations

import base64
import zlib

import numpy as np

# In place of an exponent.
NAN, INFINITE, MINUS_INFINITE = 32767, 32766, 32765
# Divisors below the smallest normal number would be rounded; values this small are scaled up first.
SMALLEST_EXPONENT, LIFT = -280, 30


def decimals(values: np.ndarray, digits: int) -> str:
    """Return numbers rounded to so many significant decimal digits, as the text that the page's ``decimals`` reads.

    value = mantissa 10^(exponent - digits + 1) with a whole mantissa of at most ``digits`` digits: what the page shows
    is then what ``format(value, f".{digits}g")`` shows, and not a rounded value rounded again.

    Args:
        values: numbers of any shape.
        digits: from 1 to 9.
    """
    mantissa, exponent = rounded(np.asarray(values, np.float64).ravel(), digits)
    return text(mantissa.astype("<i4"), exponent.astype("<i2"))


def rounded(x: np.ndarray, digits: int) -> tuple[np.ndarray, np.ndarray]:
    """Return whole mantissas and decimal exponents [n]; what is not finite has an exponent that tells which."""
    known = np.isfinite(x) & (x != 0)
    size = np.where(known, np.abs(x), 1.0)
    exponent = np.floor(np.log10(size)).astype(np.int64)
    mantissa = np.rint(scaled(size, exponent, digits))
    short = mantissa < 10 ** (digits - 1)  # the logarithm was rounded up to the next whole number
    exponent = np.where(short, exponent - 1, exponent)
    mantissa = np.where(short, np.rint(scaled(size, exponent, digits)), mantissa)
    long = mantissa >= 10**digits
    mantissa, exponent = np.where(long, mantissa / 10, mantissa), np.where(long, exponent + 1, exponent)
    mantissa = np.where(known, np.copysign(mantissa, x), 0)
    exponent = np.select(
        [np.isnan(x), np.isposinf(x), np.isneginf(x), x == 0], [NAN, INFINITE, MINUS_INFINITE, 0], exponent
    )
    return mantissa, exponent


def scaled(size: np.ndarray, exponent: np.ndarray, digits: int) -> np.ndarray:
    """Return size / 10^(exponent - digits + 1), rounded once where the power is exact."""
    lift = np.where(exponent < SMALLEST_EXPONENT, LIFT, 0)
    power = digits - 1 - exponent - lift
    lifted = size * 10.0**lift
    return np.where(power >= 0, lifted * 10.0 ** np.maximum(power, 0), lifted / 10.0 ** np.maximum(-power, 0))


def exact(values: np.ndarray) -> str:
    """Return numbers with all bits of their float64, as the text that the page's ``exact`` reads."""
    return text(np.asarray(values, np.float64).ravel().astype("<f8"))


def text(*arrays: np.ndarray) -> str:
    """Return arrays of one length, one byte plane after the other, deflated, in base64."""
    planes = [array.view(np.uint8).reshape(len(array), array.itemsize).T for array in arrays]
    return base64.b64encode(zlib.compress(b"".join(plane.tobytes() for plane in planes), 6)).decode()
