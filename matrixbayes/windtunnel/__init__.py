"""Wind tunnels: synthetic tasks whose exact posterior predictive is known, and a score against it.

A sequence has a hidden rule (an urn, a chain, a bijection, ...), drawn from a known prior; whoever
predicts its tokens well must infer the rule from those before, and Bayes' rule says how well that
can be done (Agarwal, Dalal & Misra 2025).

Contents
    Urns, MarkovChains, Bijection, HMM, Switch    tasks: `sample`, `log_predictive`
    Mixture                                       one of several tasks, and which one is hidden
    score                                         a model against a task
    WindTunnelScore                               the result, by position

Every task has ``n_tokens``, ``sample(n, length, rng=)`` for sequences (n, length), and
``log_predictive(sequences)``: log-probabilities (n, length, V), row t that of token t given tokens
0 to t - 1 and nothing else.
"""

from .mixture import Mixture
from .scoring import WindTunnelScore, score
from .tasks import HMM, Bijection, MarkovChains, Switch, Task, Urns

__all__ = [
    "HMM",
    "Bijection",
    "MarkovChains",
    "Mixture",
    "Switch",
    "Task",
    "Urns",
    "WindTunnelScore",
    "score",
]


def __dir__() -> list[str]:
    """What completion offers: tasks and their score, and nothing else."""
    return __all__
