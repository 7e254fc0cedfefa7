"""Online learning of soft committee machines, exact for many dimensions (Saad & Solla 1995, Biehl & Schwarze 1995).

Student sum_i g(J_i . x), teacher sum_n g(B_n . x), g(h) = erf(h / sqrt 2), x ~ N(0, I_N). After each fresh example
J_i += (eta/N) delta_i x, delta_i = g'(x_i) [teacher - student]. For N to infinity the overlaps Q_ik = J_i . J_k and
R_in = J_i . B_n are their means, and follow a differential equation in a = examples / N; T_nm = B_n . B_m stays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.integrate import solve_ivp

Array = np.ndarray


class Overlaps(NamedTuple):
    """Order parameters over time.

    Attributes:
        Q: student with student [times, K, K].
        R: student with teacher [times, K, M].
        error: half the mean squared error over inputs [times].
    """

    Q: Array
    R: Array
    error: Array


def dynamics(times: Array, Q: Array, R: Array, T: Array, rate: float) -> Overlaps:
    """Return the order parameters at some times, from those at time 0 on.

    dR_in/da = eta sum_c s_c I3(i, n, c); dQ_ik/da = eta sum_c s_c [I3(i, k, c) + I3(k, i, c)] + eta^2 sum_cd s_c s_d
    I4(i, k, c, d), c and d over all units, s = 1 for the teacher's and -1 for the student's.

    Args:
        times: a = examples / N, rising.
        Q, R: at time 0 [K, K] and [K, M]; T: [M, M].
        rate: eta.

    Returns:
        Overlaps at the times, by integration to a relative 1e-9.

    Raises:
        ValueError: if shapes do not fit, or times fall.
    """
    times, Q, R, T = (np.asarray(given, np.float64) for given in (times, Q, R, T))
    K, M = R.shape
    if Q.shape != (K, K) or T.shape != (M, M):
        raise ValueError(f"Q, R, T: got shapes {Q.shape}, {R.shape}, {T.shape}; allowed: (K, K), (K, M), (M, M)")
    if np.any(np.diff(times) < 0) or times[0] < 0:
        raise ValueError("times: got times that fall or are below 0; allowed: rising ones from 0 on")

    def slope(_: float, state: Array) -> Array:
        C = covariance(state[: K * K].reshape(K, K), state[K * K :].reshape(K, M), T)
        dQ, dR = slopes(C, K, rate)
        return np.concatenate([dQ.ravel(), dR.ravel()])

    first = np.concatenate([Q.ravel(), R.ravel()])
    span = (0.0, max(float(times[-1]), 1e-12))
    found = solve_ivp(slope, span, first, method="DOP853", t_eval=times, rtol=1e-9, atol=1e-12).y.T
    Qs, Rs = found[:, : K * K].reshape(-1, K, K), found[:, K * K :].reshape(-1, K, M)
    return Overlaps(Qs, Rs, np.asarray([error(q, r, T) for q, r in zip(Qs, Rs, strict=True)]))


def error(Q: Array, R: Array, T: Array) -> float:
    """Return half the mean squared error over inputs, 1/2 sum_ab s_a s_b I2(a, b)."""
    C, K = covariance(Q, R, T), len(Q)
    s = signs(C, K)
    return float(0.5 * s @ second(C) @ s)


def covariance(Q: Array, R: Array, T: Array) -> Array:
    """Return the covariance of all local fields, the student's first [K + M, K + M]."""
    return np.block([[Q, R], [R.T, T]])


def signs(C: Array, K: int) -> Array:
    """Return s: -1 for the K units of the student, 1 for the teacher's."""
    return np.where(np.arange(len(C)) < K, -1.0, 1.0)


def second(C: Array) -> Array:
    """Return I2(a, b) = <g(a) g(b)> = (2/pi) arcsin(C_ab / sqrt((1 + C_aa)(1 + C_bb))) of all pairs."""
    one = np.sqrt(1 + np.diag(C))
    return 2 / np.pi * np.arcsin(C / np.outer(one, one))


def slopes(C: Array, K: int, rate: float) -> tuple[Array, Array]:
    """Return dQ/da [K, K] and dR/da [K, M]."""
    s, I3 = signs(C, K), third(C)[:K]
    drift = I3 @ s  # [i, j]: <delta_i x_j>
    student = drift[:, :K]
    kicks = np.einsum("ikcd,c,d->ik", fourth(C, K), s, s)
    return rate * (student + student.T) + rate**2 * kicks, rate * drift[:, K:]


def entries(C: Array, axes: int) -> Callable[[int, int], Array]:
    """Return the function of two places among so many indices that gives C of them, shaped to broadcast."""

    def entry(a: int, b: int) -> Array:
        shape = [1] * axes
        if a == b:
            shape[a] = len(C)
            return np.diag(C).reshape(shape)
        shape[a] = shape[b] = len(C)
        return C.reshape(shape)

    return entry


def third(C: Array) -> Array:
    """Return I3(1, 2, 3) = <g'(1) x_2 g(3)> of all triples."""
    c = entries(C, 3)
    L3 = (1 + c(0, 0)) * (1 + c(2, 2)) - c(0, 2) ** 2
    return 2 / (np.pi * np.sqrt(L3)) * (c(1, 2) * (1 + c(0, 0)) - c(0, 1) * c(0, 2)) / (1 + c(0, 0))


def fourth(C: Array, K: int) -> Array:
    """Return I4(1, 2, 3, 4) = <g'(1) g'(2) g(3) g(4)>, 1 and 2 of the student [K, K, K + M, K + M]."""
    c = entries(C, 4)
    L4 = (1 + c(0, 0)) * (1 + c(1, 1)) - c(0, 1) ** 2
    one, two = 1 + c(0, 0), 1 + c(1, 1)

    def off(a: int, b: int) -> Array:
        """Return L0, or with a = b what is added to it 1 + C."""
        mixed = c(0, 1) * (c(0, a) * c(1, b) + c(0, b) * c(1, a))
        return L4 * c(a, b) - c(1, a) * c(1, b) * one - c(0, a) * c(0, b) * two + mixed

    L0, L1, L2 = off(2, 3), L4 + off(2, 2), L4 + off(3, 3)
    found = 4 / (np.pi**2 * np.sqrt(L4)) * np.arcsin(np.clip(L0 / np.sqrt(L1 * L2), -1, 1))
    return found[:K, :K]
