"""The prior of a study's rows: by their density, at a resolution, or the rows themselves.

Contents
    Fit          the prior, how it was found, and the check of it
    mean_row     frequencies of tokens
    fit_prior    tries what `resolution` allows and keeps what predicts rows left out best
    RESOLUTIONS  words that `resolution` may be, beside a number

The density of log-probabilities is decided by the far tail of a row.  Over a few answers that is no
harm, and the fit is the classical one; over a whole vocabulary its prior predicts worse than the
frequencies of tokens (model.md 4b), so that others are tried.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .._base.typing import Floats
from .verdict import brief

if TYPE_CHECKING:
    from ..estimator import PriorSelection
    from ..mixture import DirichletMixture, FitCheck
    from ..rows import NextTokenRows

HOW = {"density": "by density", "resolution": "at a resolution", "kernels": "by kernels of rows"}
RESOLUTIONS = ("best", "density", "auto", "kernels")
NARROW = 32  # columns up to which a density that passes its check is kept
LEAST_ROWS = 20  # that a choice is made from
USUAL = 100  # draws, where they are too few to choose a resolution
PARTS = 5  # one of which is left out
SHOWN = 6  # components of a picture of kernels
TIE = 2.0  # of BIC, that is no difference
SAME = 0.01  # bits a token that are no reason to leave the density


@dataclass(frozen=True)
class Fit:
    """The prior of a study's rows.

    Attributes
    ----------
    prior
        A `DirichletMixture`, or a `KernelMixture` where the rows themselves predict best.
    selection
        The fits of every number of components tried.
    method
        "density", "resolution" or "kernels".
    check
        Of the same method on rows that it was not fitted to; None of too few rows.
    tried
        Method -> bits a token on the rows left out, in the mean over the check's draws.
    reason
        Why this one: a clause.
    shown
        The prior, or a reduction of it to a few components.
    """

    prior: Any
    selection: PriorSelection
    method: str
    check: FitCheck | None
    tried: dict[str, float]
    reason: str
    shown: DirichletMixture

    @property
    def words(self) -> str:
        """The method and why."""
        return f"{HOW[self.method]}, as {self.reason}"


def fit_prior(
    rows: NextTokenRows,
    sizes: Sequence[int],
    *,
    resolution: int | str = "best",
    seed: int = 0,
    jobs: int | None = None,
) -> Fit:
    """Fit the prior of rows, and check it on rows left out.

    Parameters
    ----------
    rows
        Of the model.
    sizes
        Numbers of components to choose from.
    resolution
        "density" for the classical fit, a number or "auto" for one at a resolution, "kernels" for
        the rows themselves, "best" for whichever predicts rows left out best.
    seed, jobs
        As for `select_prior`.
    """
    from ..estimator import DirichletMixtureEstimator, select_prior
    from ..mixture import DirichletMixture, check_prior

    is_few = len(rows) < LEAST_ROWS
    at = "auto" if resolution == "best" else resolution
    if at == "auto" and is_few:
        at = USUAL

    def selected(own: NextTokenRows, of: Sequence[int], **options: Any) -> PriorSelection:
        return select_prior(
            own, n_components=of, random_state=seed, n_jobs=jobs, criterion="bic", **options
        )

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        density = selected(rows, sizes)
    at_resolution = [density.best_.n_components] if is_few else sizes
    ways: dict[str, Callable[[NextTokenRows], Any]] = {
        "density": lambda own: (
            DirichletMixtureEstimator(
                n_components=density.best_.n_components, random_state=seed, n_jobs=jobs
            )
            .fit(own)
            .prior_
        ),
        "resolution": lambda own: selected(own, at_resolution, resolution=at).best_.prior_,
        "kernels": lambda own: DirichletMixture.from_rows(own, rng=seed),
    }
    fixed = {"best": None, "density": "density", "kernels": "kernels"}.get(str(resolution))
    fixed = "resolution" if resolution not in RESOLUTIONS or resolution == "auto" else fixed
    finished = partial(_finished, density=density, said=said, rows=rows, ways=ways)
    if is_few:
        why = "it was asked for" if fixed else "there are too few rows to choose"
        return finished(fixed or "density", None, {}, why)
    kept, out = _split(len(rows), seed)
    known, left = rows[kept], rows[out]
    frequencies = mean_row(known)
    checks: dict[str, FitCheck] = {}

    def check(name: str) -> FitCheck:
        with warnings.catch_warnings():
            # of fits that may not be kept, to a part of the rows; the check says what is wrong
            warnings.simplefilter("ignore")
            checks[name] = check_prior(ways[name](known), left, reference=frequencies, rng=seed)
        return checks[name]

    if fixed is not None:
        return finished(fixed, check(fixed), _bits(checks), "it was asked for")
    if check("density").passed and rows.n_tokens <= NARROW:
        why = f"it describes rows left out, over {rows.n_tokens} columns"
        return finished("density", checks["density"], _bits(checks), why)
    for name in ("resolution", "kernels"):
        check(name)
    bits = _bits(checks)
    best = min(bits, key=bits.__getitem__)
    if bits["density"] <= bits[best] + SAME:
        best = "density"
    others = " and ".join(f"{brief(bits[name], 3)} {HOW[name]}" for name in bits if name != best)
    why = f"it takes {brief(bits[best], 3)} bits a token of rows left out, not {others}"
    return finished(best, checks[best], bits, why)


def near_ties(fit: Fit, rows: NextTokenRows) -> tuple[str, ...]:
    """What else the rows may hold, as clauses: sizes and fits that are within their uncertainty.

    Of two sizes the difference of BIC has a standard error over rows (Vuong 1989); and less than 2
    is "not worth more than a bare mention" (Kass & Raftery 1995).
    """
    found = []
    best = fit.selection.best_.n_components
    if fit.method == "density":
        lines = {line["n_components"]: line for line in fit.selection.table if line.get("bic")}
        near = [k for k in lines if k != best and _near(fit.selection, rows, lines, k, best)]
        if near:
            least = min(abs(lines[k]["bic"] - lines[best]["bic"]) for k in near)
            found.append(
                f"the rows are not rather of {' or '.join(map(str, near))} kinds than of {best}, "
                f"as BIC differs by {brief(least)}, which is within its uncertainty"
            )
    if fit.check is not None and fit.method in fit.tried:
        error = float(np.mean(fit.check.bits_se))
        for name, bits in fit.tried.items():
            more = bits - fit.tried[fit.method]
            if name != fit.method and more < error:
                found.append(
                    f"a prior {HOW[name]} does not describe the rows as well, as it takes "
                    f"{brief(more)} bits a token more, within ± {brief(error)}"
                )
    return tuple(found)


def _near(
    selection: PriorSelection, rows: NextTokenRows, lines: dict[int, Any], k: int, best: int
) -> bool:
    """Whether BIC does not tell two sizes apart."""
    apart = abs(lines[k]["bic"] - lines[best]["bic"])
    if apart < TIE:
        return True
    logs = [np.asarray(selection.estimators[n].prior_.log_prob(rows)) for n in (k, best)]
    return bool(apart < 2.0 * np.sqrt(len(rows)) * float(np.std(logs[0] - logs[1])))


def _finished(
    method: str,
    check: FitCheck | None,
    tried: dict[str, float],
    reason: str,
    *,
    density: PriorSelection,
    said: Sequence[warnings.WarningMessage],
    rows: NextTokenRows,
    ways: dict[str, Callable[[NextTokenRows], Any]],
) -> Fit:
    """The chosen method on all rows, and what was `said` of the density where that is chosen."""
    if method == "density":
        for each in said:
            warnings.warn(each.message, stacklevel=2)
    prior = density.best_.prior_ if method == "density" else ways[method](rows)
    shown = prior if method != "kernels" else prior.reduce(SHOWN, rng=0).mixture
    return Fit(prior, density, method, check, tried, reason, shown)


def _bits(checks: dict[str, FitCheck]) -> dict[str, float]:
    return {name: float(np.mean(check.bits)) for name, check in checks.items()}


def _split(n: int, seed: int) -> tuple[Any, Any]:
    """Which rows to fit to, and which to leave out."""
    order = np.random.default_rng(seed).permutation(n)
    out = np.sort(order[: max(2, n // PARTS)])
    return np.setdiff1d(order, out), out


def mean_row(rows: NextTokenRows) -> Floats:
    """The mean of all rows as probabilities (V,), a few rows at a time."""
    total = np.zeros(rows.n_tokens)
    step = max(1, 2**20 // rows.n_tokens)
    for start in range(0, len(rows), step):
        total += np.exp(rows.log_probs[start : start + step].astype(np.float64)).sum(axis=0)
    return total / len(rows)
