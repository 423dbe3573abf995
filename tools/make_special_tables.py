"""Write tests/data/special_by_mpmath.npz: values of the special functions, and evidence.

    python tools/make_special_tables.py

Arguments are drawn from a fixed seed: of positive numbers some in each binade, subnormal ones
too, more where a row of a model has its numbers, and both sides of each root and border down to
the neighbouring double.  A value is mpmath's to DIGITS digits and more where it cancels, kept as
the nearest double, `value`, and what is missing from it in units of its last place, `rest`.
The file says the same of itself in `provenance`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

FILE = Path(__file__).resolve().parents[1] / "tests" / "data" / "special_by_mpmath.npz"
DIGITS = 80
SEED = 20
PROVENANCE = (
    "tools/make_special_tables.py, mpmath {version}, {digits} digits and more where terms cancel, "
    "seed {seed} of NumPy's default_rng; {count} values.  A value is the double <name>__value "
    "plus <name>__rest of its units in the last place, of the arguments <name>__0, <name>__1."
)

ROOT_OF_DIGAMMA = 1.4616321449683622
PLACES = (0.5, 1.0, ROOT_OF_DIGAMMA, 1.5, 2.0, 2.5, 3.5, 4.0, 10.0)

Array = np.ndarray[Any, np.dtype[np.float64]]


def every_binade(random: np.random.Generator, each: int) -> Array:
    """Positive doubles, `each` in every binade, and the powers of two that begin it."""
    powers = np.ldexp(1.0, np.arange(-1074, 1024))
    drawn = np.ldexp(random.uniform(1, 2, (each, powers.size)), np.arange(-1074, 1024))
    return np.concatenate([powers[::8], drawn.ravel(), [np.finfo(float).max]])


def near(places: tuple[float, ...]) -> Array:
    """Each place, its two neighbours, and what is 2^-51 to 1/8 of it away on both sides."""
    steps = 2.0 ** np.arange(-51, -2, 1.5)
    steps = np.concatenate([[0.0], steps, -steps])
    whole = np.asarray(places)
    sides = [np.nextafter(whole, 0), np.nextafter(whole, 9)]
    return np.concatenate([np.outer(whole, 1 + steps).ravel(), *sides])


def exact_inverse_digamma(y: mpf) -> mpf:
    """The x > 0 with psi(x) = y, by Newton's method."""
    x = mpmath.exp(y) + 0.5 if y > -2 else -1 / (y + mpmath.euler)
    for _ in range(200):
        step = (mpmath.psi(0, x) - y) / mpmath.psi(1, x)
        x -= min(step, x / 2)
        if abs(step) < mpf(10) ** -45 * x:
            return x
    raise AssertionError(f"no end at {y}")


def exact_gamma_entropy(x: mpf) -> mpf:
    with mpmath.workdps(DIGITS + int(abs(mpmath.log10(x)))):
        return x + mpmath.loggamma(x) + (1 - x) * mpmath.psi(0, x)


def exact_log_excess(x: mpf) -> mpf:
    with mpmath.workdps(DIGITS + int(abs(mpmath.log10(x)))):
        return mpmath.psi(0, x + 1) - mpmath.log(x)


def exact_lgamma_difference(a: mpf, n: mpf) -> mpf:
    with mpmath.workdps(DIGITS + 100):
        return mpmath.loggamma(a + n) - mpmath.loggamma(a)


def exact_digamma_difference(a: mpf, n: mpf) -> mpf:
    with mpmath.workdps(DIGITS + 100):
        return mpmath.psi(0, a + n) - mpmath.psi(0, a)


FUNCTIONS: dict[str, Callable[..., mpf]] = {
    "log": mpmath.log,
    "exp": mpmath.exp,
    "lgamma": mpmath.loggamma,
    "digamma": lambda x: mpmath.psi(0, x),
    "trigamma": lambda x: mpmath.psi(1, x),
    "inverse_digamma": exact_inverse_digamma,
    "gamma_entropy": exact_gamma_entropy,
    "log_excess": exact_log_excess,
    "lgamma_difference": exact_lgamma_difference,
    "digamma_difference": exact_digamma_difference,
}


def arguments(random: np.random.Generator) -> dict[str, tuple[Array, ...]]:
    """What each function is asked for."""
    usual = np.exp(random.uniform(np.log(1e-9), np.log(1e12), 600))
    positive = np.unique(np.concatenate([every_binade(random, 1), near(PLACES), usual]))
    some = np.unique(np.concatenate([positive[::4], usual]))
    size = np.exp(random.uniform(np.log(1e-18), np.log(745), 700))
    exponents = np.concatenate([size[::2], -size[1::2], random.uniform(-745, 709.7, 300)])
    y = [-np.exp(random.uniform(-3, 300, 150)), random.uniform(-6, 12, 300)]
    y += [random.uniform(10, 709, 50), near((-0.25, 9.5, -1e8))]

    def pairs(whole: int, real: int) -> tuple[Array, Array]:
        a = np.exp(random.uniform(np.log(1e-8), np.log(1e12), whole + real))
        n = np.rint(np.exp(random.uniform(0, np.log(1e9), whole)))
        close = random.uniform(0.01, 6, 200)
        small = np.concatenate([random.integers(1, 9, 100), random.uniform(0, 6, 100)])
        n = np.concatenate([n, np.exp(random.uniform(np.log(1e-12), np.log(1e9), real)), small])
        return np.concatenate([a, close]), n

    return {
        **dict.fromkeys(("log", "lgamma", "digamma", "trigamma"), (positive,)),
        "exp": (exponents,),
        "inverse_digamma": (np.concatenate(y),),
        "gamma_entropy": (some,),
        "log_excess": (some,),
        "lgamma_difference": pairs(500, 500),
        "digamma_difference": pairs(500, 500),
    }


def split(value: mpf) -> tuple[float, float]:
    """The nearest double, and the rest in units of its last place."""
    nearest = float(value)
    if not np.isfinite(nearest):
        return nearest, 0.0
    return nearest, float((value - mpf(nearest)) / mpf(float(np.spacing(abs(nearest)))))


def evaluated(name: str, columns: tuple[Array, ...]) -> tuple[Array, Array]:
    """The doubles and the rests of a function at many arguments."""
    with mpmath.workdps(DIGITS):
        rows = zip(*(column.tolist() for column in columns), strict=True)
        pairs = [split(FUNCTIONS[name](*map(mpf, row))) for row in rows]
    return np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])


def evidence(random: np.random.Generator) -> dict[str, Array]:
    """Dirichlets, counts under each, and ln of their probability in order, with the sizes of terms.

    Concentrations are from 1e-8 to 1e8 and counts from 0 to 1e9, every fourth row's not whole.
    """
    n_rows, width = 400, 6
    alpha = np.exp(random.uniform(np.log(1e-8), np.log(1e8), (n_rows, width)))
    alpha[1::3] = np.exp(random.uniform(np.log(1e-2), np.log(1e2), alpha[1::3].shape))
    counts = np.exp(random.uniform(-2, np.log(1e9), (n_rows, width)))
    counts[1::3] = np.exp(random.uniform(-2, np.log(1e3), counts[1::3].shape))
    whole = np.arange(n_rows) % 4 > 0
    counts[whole] = np.floor(counts[whole])
    counts[random.uniform(size=counts.shape) < 0.2] = 0
    pairs, sizes = [], []
    with mpmath.workdps(DIGITS):
        for a, n in zip(alpha.tolist(), counts.tolist(), strict=True):
            total, size = mpmath.fsum(map(mpf, a)), mpmath.fsum(map(mpf, n))
            terms = [-exact_lgamma_difference(total, size)]
            terms += [exact_lgamma_difference(mpf(x), mpf(k)) for x, k in zip(a, n, strict=True)]
            pairs.append(split(mpmath.fsum(terms)))
            sizes.append(float(mpmath.fsum(terms, absolute=True)))
    return {
        "evidence__0": alpha,
        "evidence__1": counts,
        "evidence__value": np.array([p[0] for p in pairs]),
        "evidence__rest": np.array([p[1] for p in pairs]),
        "evidence__size": np.array(sizes),
    }


def main() -> None:
    random = np.random.default_rng(SEED)
    found: dict[str, Any] = {}
    for name, columns in arguments(random).items():
        value, rest = evaluated(name, columns)
        found |= {f"{name}__{i}": column for i, column in enumerate(columns)}
        found |= {f"{name}__value": value, f"{name}__rest": rest.astype(np.float32)}
        print(f"{name}: {value.size}")
    found |= evidence(random)
    count = sum(found[key].size for key in found if key.endswith("__value"))
    about = {"version": mpmath.__version__, "digits": DIGITS, "seed": SEED, "count": count}
    np.savez_compressed(FILE, provenance=PROVENANCE.format(**about), **found)
    print(f"{FILE}: {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
