"""How often the tests of `score_card` reject: exact learners of each family, and planted faults.

    python benchmarks/nulls.py [--quick]

An exact learner of draws from an urn, of Markov chains and of variable-order chains is to be
rejected at the level, 0.05, by each test and by the card.  One whose last news of a row counts for
more (order), whose counts fade (forgetting), or that says probabilities to the power of 1.3 (sure),
is to be found.  Learners write their continuations themselves; the family is given or chosen by
the card ("auto"), and the prior is elicited from the learner's predictions.  Rates with binomial
standard errors.
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import matrixbayes as mb
from matrixbayes._base.sequences import chosen
from matrixbayes.diagnostics.chains import ChainNull
from matrixbayes.diagnostics.nulls import Null
from matrixbayes.diagnostics.trees import TreeNull
from matrixbayes.diagnostics.urns import UrnNull

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]
LEVEL = 0.05


@dataclass
class Planted:
    """A family's learner with a fault, as a predictor and as the task of its own texts."""

    null: Null
    gamma: float = 1.0
    power: float = 1.0
    news: float = 0.0

    @property
    def n_tokens(self) -> int:
        """V."""
        return self.null.n_tokens

    def _walk(self, tokens: Ids, start: int, rng: np.random.Generator | None) -> Floats:
        """Rows (n, length, V), and tokens from `start` on where there is a generator."""
        n, length = tokens.shape
        learner = learner_of(self.null, n, length, self.gamma)
        last = np.full((n, self.n_tokens + 1), -1)  # what came at the last visit after each token
        own, now = np.arange(n), np.zeros(n, dtype=np.int64)
        rows = np.empty((n, length, self.n_tokens))
        for t in range(length):
            row = learner.predict() ** self.power
            if self.news:
                place = last[own, now]
                known = place >= 0
                row[own[known], place[known]] *= 1.0 + self.news
            row /= row.sum(axis=1, keepdims=True)
            rows[:, t] = row
            if rng is not None and t >= start:
                tokens[:, t] = chosen(np.cumsum(row, axis=1), rng.random(n))
            learner.observe(tokens[:, t])
            last[own, now] = tokens[:, t]
            now = tokens[:, t] + 1 if self.null.order else now
        return rows

    def __call__(self, sequences: Any) -> Floats:
        """Log-probabilities (n, length, V) of each token given those before."""
        return np.log(self._walk(np.array(sequences), 0, None))

    def predict(self, histories: Any) -> Floats:
        """Log-probabilities (N, V) of the token after each history, all of one length."""
        whole = np.array(histories, dtype=np.int64).reshape(len(histories), -1)
        return self(np.pad(whole, ((0, 0), (0, 1))))[:, -1]

    def sample(self, n: int, length: int, *, history: Any = (), rng: Any = None) -> Ids:
        """Continuations (n, length)."""
        start = len(history)
        tokens = np.zeros((n, start + length), dtype=np.int64)
        tokens[:, :start] = history
        self._walk(tokens, start, np.random.default_rng(rng))
        return tokens[:, start:]


class Urn:
    """The learner of an urn, token by token."""

    def __init__(self, null: UrnNull, n: int, gamma: float) -> None:
        self.counts, self.gamma = np.zeros((n, null.n_tokens)), gamma
        self.alpha = null.urn.alpha[0]

    def predict(self) -> Floats:
        """Probabilities (n, V)."""
        row = self.counts + self.alpha
        return row / row.sum(axis=1, keepdims=True)

    def observe(self, tokens: Ids) -> None:
        """One token (n,) more on each."""
        self.counts *= self.gamma
        self.counts[np.arange(len(tokens)), tokens] += 1.0


def learner_of(null: Null, n: int, length: int, gamma: float) -> Any:
    """Of each family."""
    if isinstance(null, UrnNull):
        return Urn(null, n, gamma)
    return null.learner(n, length, gamma)


def nulls(width: int) -> dict[str, Null]:
    """A learner of each family."""
    prior = mb.DirichletMixture([1.0], [np.linspace(1.0, 2.0, width)])
    return {
        "iid": UrnNull(0.0, prior),
        "markov": ChainNull(0.0, prior, None, np.full(width, 1.0 / width)),
        "tree": TreeNull(
            0.0,
            np.ones(width),
            repeat=np.array([0.6, 0.5]),
            other=np.array([1.2, 1.0]),
            split=0.5,
            kappa=0.5,
            delta=0.7,
            weight=-2.0,
            depth=4,
        ),
    }


FAULTS = {
    "none": {},
    "order": {"news": 1.0},
    "forgetting": {"gamma": 0.7},
    "sure": {"power": 1.3},
}


def rates(learner: Planted, family: str, seeds: int, **options: Any) -> tuple[list[float], Any]:
    """Share of seeds in which each test is rejected, and the card; and the families chosen."""
    rejected, families = np.zeros(6), {}
    for seed in range(seeds):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            card = mb.score_card(
                learner, None, learner, shots=0, n_boot=99, family=family, rng=seed, **options
            )
        rejected[:5] += [test.rejected for test in card.tests]
        rejected[5] += (card.adjusted <= LEVEL).any()
        families[card.family] = families.get(card.family, 0) + 1
    return (rejected / seeds).tolist(), families


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the seeds")
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    tests = ("martingale", "order", "predict", "scaling", "forget", "card")
    print(f"{'learner':24s}{'family':8s}" + "".join(f"{name:>15s}" for name in tests))
    for name, null in nulls(2).items():
        for fault, how in FAULTS.items():
            if arguments.only and arguments.only not in f"{name}, {fault}":
                continue
            size = {"n": 100, "length": 24}
            if fault == "none":
                size = {"n": 32, "length": 16}
            elif fault == "sure":  # the smallest fault
                size = {"n": 200, "length": 32}
            many = {name: 300, "auto": 60} if fault == "none" else {"auto": 15}
            for family, seeds in many.items():
                seeds = seeds // 10 + 1 if arguments.quick else seeds
                start = time.process_time()
                found, chosen_ = rates(Planted(null, **how), family, seeds, **size)
                cells = (f"{x:.3f} ± {np.sqrt(x * (1 - x) / seeds):.3f}" for x in found)
                line = "".join(f"{cell:>15s}" for cell in cells)
                spent = time.process_time() - start
                print(
                    f"{name + ', ' + fault:22s}{family:8s}{line} {chosen_} {spent:.0f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
