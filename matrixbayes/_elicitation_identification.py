"""Which parameters of an elicited prior the data settle, from the curvature of the objective."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Identification", "identify"]

Floats = NDArray[np.float64]
Gradient = Callable[[Floats], Floats]

MAX_ALPHAS = 256  # beyond so many, only concentrations and weights are probed
STEP = 1e-4  # of the central differences, in logarithms
FLAT = 1e-7  # eigenvalues below this share of the largest are taken for zero
MINOR = 1e-3  # tokens of less than this share of a component get no flag of their own


@dataclass(frozen=True, eq=False)
class Identification:
    """How far each parameter may move before the fit is noticeably worse.

    The widths are half-widths in natural logarithms: a width of 0.05 says that the parameter
    may be about 5 % larger or smaller, with all others adapted, before the mean KL rises by
    `rise`; ``inf`` says that no value is worse than another.  They come from the second-order
    expansion of the mean KL at the optimum and say nothing about sampling error.

    Attributes
    ----------
    rise : float
        The rise of the mean KL in nats: a hundredth of the mean KL, at least 1e-8.
    eigenvalues : ndarray
        Spectrum of the Hessian, ascending: in nats per squared log-unit.
    log_weights, log_concentration : ndarray of shape (K,)
        Widths of the components' weights and concentrations.
    log_alpha : ndarray of shape (K, V) or None
        Widths of the single parameters.  None when there are more than 256: then a concentration
        is moved with its component's mean held fixed, and the widths are lower bounds.
    flags : tuple of str
        A sentence for each parameter that could double or halve within the rise, or that
        stopped at a limit of the search.
    """

    rise: float
    eigenvalues: Floats
    log_weights: Floats
    log_concentration: Floats
    log_alpha: Floats | None
    flags: tuple[str, ...]


def identify(
    gradient: Gradient,
    theta: Floats,
    alpha: Floats,
    at_limit: NDArray[np.bool_],
    mean_kl: float,
    names: tuple[str, ...] | None,
) -> Identification:
    """The widths and flags at an optimum.

    Parameters
    ----------
    gradient
        The gradient of the objective by the parameter vector: K V logarithms of alpha, then K
        logits of the weights.
    theta
        The optimum.
    alpha
        Its alpha (K, V).
    at_limit
        (K V + K,) which parameters the search's limits hold.
    mean_kl
        The objective there.
    names
        The tokens' names.
    """
    n_components = len(alpha)
    basis, every_alpha = _basis(alpha, at_limit)
    hessian = _hessian(gradient, theta, basis)
    eigenvalues, vectors = np.linalg.eigh(hessian)
    rise = max(0.01 * mean_kl, 1e-8)
    alpha_rows = np.eye(alpha.size, len(theta))
    by_concentration = np.zeros((n_components, len(theta)))
    by_weight = np.zeros((n_components, len(theta)))
    logits = np.exp(theta[alpha.size :] - theta[alpha.size :].max())
    by_weight[:, alpha.size :] = np.eye(n_components) - logits / logits.sum()
    for k in range(n_components):
        of_k = slice(k * alpha.shape[1], (k + 1) * alpha.shape[1])
        by_concentration[k, of_k] = alpha[k] / alpha[k].sum()

    def widths(slopes: Floats) -> Floats:
        return _widths(slopes @ basis @ vectors, eigenvalues, rise)

    log_weights, log_concentration = widths(by_weight), widths(by_concentration)
    log_alpha = widths(alpha_rows).reshape(alpha.shape) if every_alpha else None
    limits = at_limit[: alpha.size].reshape(alpha.shape)
    flags = tuple(_flags(log_weights, log_concentration, log_alpha, alpha, limits, names))
    return Identification(rise, eigenvalues, log_weights, log_concentration, log_alpha, flags)


def _basis(alpha: Floats, at_limit: NDArray[np.bool_]) -> tuple[Floats, bool]:
    """Directions in which parameters may move, as columns; whether each alpha has its own."""
    n_components, n_parameters = len(alpha), alpha.size + len(alpha)
    free = np.flatnonzero(~at_limit[: alpha.size])
    every_alpha = len(free) <= MAX_ALPHAS
    if every_alpha:
        moves = np.eye(n_parameters)[:, free]
    else:
        moves = np.zeros((n_parameters, n_components))
        moves[free, free // alpha.shape[1]] = 1.0
    contrasts = np.zeros((n_parameters, max(n_components - 1, 0)))
    for k in range(1, n_components):  # Helmert: orthonormal, each summing to zero
        contrasts[alpha.size : alpha.size + k, k - 1] = 1.0 / np.sqrt(k * (k + 1.0))
        contrasts[alpha.size + k, k - 1] = -np.sqrt(k / (k + 1.0))
    return np.hstack([moves, contrasts]), every_alpha


def _hessian(gradient: Gradient, theta: Floats, basis: Floats) -> Floats:
    """Second derivatives along the columns of `basis`, by central differences of the gradient."""
    columns = [
        basis.T @ (gradient(theta + STEP * move) - gradient(theta - STEP * move)) / (2.0 * STEP)
        for move in basis.T
    ]
    hessian = np.array(columns).reshape(basis.shape[1], basis.shape[1])
    return (hessian + hessian.T) / 2.0


def _widths(slopes: Floats, eigenvalues: Floats, rise: float) -> Floats:
    """How far functions with these slopes along the eigenvectors move at a given rise."""
    if not len(eigenvalues):
        return np.zeros(len(slopes))
    flat = eigenvalues <= FLAT * max(eigenvalues[-1], 1e-12)
    steep = np.sum(slopes[:, ~flat] ** 2 / eigenvalues[~flat], axis=1)
    length = np.linalg.norm(slopes, axis=1)
    moves_freely = np.linalg.norm(slopes[:, flat], axis=1) > 0.01 * np.maximum(length, 1e-300)
    return np.where(moves_freely, np.inf, np.sqrt(2.0 * rise * steep))


def _flags(
    log_weights: Floats,
    log_concentration: Floats,
    log_alpha: Floats | None,
    alpha: Floats,
    limits: NDArray[np.bool_],
    names: tuple[str, ...] | None,
) -> list[str]:
    """A sentence for each parameter that is not settled."""
    flags = []
    loose = np.log(2.0)
    share = alpha / alpha.sum(axis=1, keepdims=True)
    for k in range(len(alpha)):
        if log_weights[k] > loose and log_concentration[k] > loose:
            flags.append(f"component {k}: neither its weight nor its concentration is identified")
        elif log_weights[k] > loose:
            flags.append(f"component {k}: its weight is not identified")
        elif log_concentration[k] > loose:
            flags.append(f"component {k}: its concentration is not identified")
        if log_concentration[k] <= loose and log_alpha is not None:
            tokens = _tokens((log_alpha[k] > loose) & (share[k] > MINOR), names)
            if tokens:
                flags.append(f"component {k}: its alpha is not identified for {tokens}")
        tokens = _tokens(limits[k] & (share[k] > MINOR), names)
        if tokens:
            flags.append(f"component {k}: its alpha stopped at a limit of the search for {tokens}")
    return flags


def _tokens(chosen: NDArray[np.bool_], names: tuple[str, ...] | None) -> str:
    """The chosen tokens in words, the first few of them."""
    columns = np.flatnonzero(chosen).tolist()
    words = [f"column {v}" if names is None else repr(names[v]) for v in columns[:5]]
    return ", ".join(words) + (f" and {len(columns) - 5} more" if len(columns) > 5 else "")
