"""Which family a test's null is of.

Contents
    check_family    what a caller may ask for
    family_of       that of a null
    nearest         the model of a family, or of the best of them, that is nearest to some paths
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._base.arguments import shown
from ..elicitation import ElicitationReport
from ..mixture import DirichletMixture
from ..sources.names import parts_of
from . import sums, trees
from .chains import nearest_chain, of_prior, row_for_row
from .nulls import BETTER, EXACT, MOST_TOKENS, Null, faded_kl
from .paths import Paths
from .trees import nearest_tree
from .urns import UrnNull, nearest_urn, one_dirichlet

FAMILIES = {"iid": nearest_urn, "markov": nearest_chain, "tree": nearest_tree}  # simplest first
AT_ONCE = {"iid": one_dirichlet, "markov": row_for_row}  # without a search


def check_family(family: str, null: Any, n_tokens: int) -> None:
    """Refuse families that are not known, and a null that is of none or of another."""
    if family != "auto" and family not in FAMILIES:
        names = ", ".join(map(repr, ["auto", *FAMILIES]))
        raise ValueError(f"family={shown(family)} is not one of {names}")
    if null is None:
        return
    if not isinstance(null, DirichletMixture | ElicitationReport | Null):
        raise TypeError(
            f"null is a {type(null).__name__}; it must be a DirichletMixture, an "
            "ElicitationReport or the null of another test"
        )
    if null.n_tokens != n_tokens:
        raise ValueError(f"null has {null.n_tokens} tokens and the predictor {n_tokens}")
    if isinstance(null, ElicitationReport) and (null.discount, null.temperature) != (1.0, 1.0):
        raise ValueError(
            "null has a discount or a temperature, and a Bayesian learner has none: elicit "
            "the prior without"
        )
    own = "markov" if family == "markov" else "iid"  # of a mixture, which may be either
    if not isinstance(null, DirichletMixture):
        own = family_of(null)
    if family not in ("auto", own):
        raise ValueError(f"null is of family {own!r}, and family={shown(family)}")


def family_of(null: ElicitationReport | Null) -> str:
    """The family of a null: of a report one of three, or its own name."""
    if isinstance(null, Null):
        return null.family
    parts = [*parts_of(null.family, null.order, depth=null.depth).values()]
    kinds = {part.kind for part in parts}
    if len(parts) == 1 and parts[0].is_mixture:
        return parts[0].kind
    return "tree" if "tree" in kinds <= {"tree", "balance"} else null.family


def nearest(
    paths: Paths, given: Any, family: str, max_components: int, rng: np.random.Generator
) -> Null:
    """The model whose predictive is nearest to that of the paths, or the one with a given prior.

    Of several families the simplest that explains the predictions to rounding; or each is fitted to
    half of the paths, and a family of more parameters must beat a simpler one on the other half by
    more than one standard error, and by as much as a further component must; even one whose counts
    fade, or a forgetting learner of urns would be called a tree that forgets less.
    """
    if given is not None:
        return _given(paths, given, family)
    few = paths.rows.shape[-1] <= MOST_TOKENS
    names = ([*FAMILIES] if few else ["iid"]) if family == "auto" else [family]
    for name in names:
        if name == "iid" or (name == "markov" and few):
            found = AT_ONCE[name](paths)
            if found.mean_kl <= EXACT:
                return found
    fits = [FAMILIES[name](paths, max_components, rng) for name in names]
    for fit in fits:
        if fit.mean_kl <= EXACT:
            return fit
    if len(fits) == 1:
        return fits[0]
    some, others = paths.part(slice(0, None, 2)), paths.part(slice(1, None, 2))
    best, lowest = 0, FAMILIES[names[0]](some, max_components, rng).kls(others)
    for i, name in enumerate(names[1:], 1):
        own = FAMILIES[name](some, max_components, rng).kls(others)
        gain = lowest - own
        error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else np.inf
        bar = min(float(lowest.mean()), faded_kl(paths, fits[best]))
        if own.mean() < BETTER * bar and gain.mean() > error:
            best, lowest = i, own
    return fits[best]


def _given(paths: Paths, given: Any, family: str) -> Null:
    """The null with a given prior, which is before the history but for an urn's."""
    if isinstance(given, Null):
        return given.after(paths)
    if isinstance(given, ElicitationReport):
        if family_of(given) == "tree":
            return trees.of_report(paths, given)
        if family_of(given) not in FAMILIES:
            return sums.of_report(paths, given)
        (part,) = parts_of(given.family, given.order).values()
        if part.order:
            return of_prior(paths, given.prior, part.order)
        seen = np.bincount(np.array(paths.history, dtype=np.int64), minlength=given.n_tokens)
        given = given.prior.posterior(seen)
    elif family == "markov":
        return of_prior(paths, given)
    return UrnNull(np.nan, given).after(paths)
