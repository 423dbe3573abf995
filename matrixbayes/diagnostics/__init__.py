"""Is the model Bayesian at all?  Tests with their null distributions.

If tokens are draws from an unknown row of probabilities, and the model learns that row by Bayes'
rule, then what it says of the next token is a martingale on its own continuations, does not depend
on the order of what was shown, becomes sure at the rate at which evidence comes in, and
forgets nothing (Falck, Wang & Holmes 2024).  Each of these is a test here.  An exact learner of
Markov chains breaks them by right, and keeps them row by row: so each test says of which family
its null is (draws from an urn, Markov chains, variable-order chains), and draws it from the prior
of that family that explains the model best.

Contents
    martingale_test             does the predictive drift or swing on its own continuations?
    exchangeability_test        does order matter, in continuations or in predictions?
    uncertainty_scaling_test    does it become sure as fast as its evidence allows?
    forgetting_test             do older tokens count less?
    score_card                  all of them: one table
    UrnPredictor                a predictor that is Bayesian, to compare with

A predictor has ``n_tokens``, ``predict(histories)`` and ``sample(n, length, history=, rng=)``: a
`TokenPredictor` of a language model, an `UrnPredictor`, or one of your own.
"""

from __future__ import annotations

from .card import ScoreCard, score_card
from .order import exchangeability_test
from .path_tests import forgetting_test, martingale_test, uncertainty_scaling_test
from .predictors import UrnPredictor
from .result import DiagnosticTest

__all__ = [
    "DiagnosticTest",
    "ScoreCard",
    "UrnPredictor",
    "exchangeability_test",
    "forgetting_test",
    "martingale_test",
    "score_card",
    "uncertainty_scaling_test",
]
