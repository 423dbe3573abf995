"""Print the coefficients of csrc/core/special/special.c.

    python tools/make_coefficients.py

Each is a rational (or polynomial) function that agrees with the exact one at
the Chebyshev nodes of its interval, which is within a small factor of the best
of its degree.  The exact values are mpmath's, to 60 digits; the comment above
each table says what it approximates, where, and the largest relative error.
"""

from collections.abc import Callable, Sequence

from mpmath import (
    atanh,
    cos,
    euler,
    exp,
    expm1,
    findroot,
    log,
    loggamma,
    lu_solve,
    matrix,
    mp,
    mpf,
    nstr,
    pi,
    psi,
    sqrt,
)

mp.dps = 60
PER_LINE = 4

DIGAMMA_ROOT = findroot(lambda x: psi(0, x), 1.46)


def inverse_digamma(y: mpf) -> mpf:
    """The x > 0 with psi(x) = y, by Newton's method."""
    x = exp(y) + mpf(1) / 2 if y > -2 else -1 / (y + euler)
    while True:
        step = (psi(0, x) - y) / psi(1, x)
        x -= min(step, x / 2)
        if abs(step) < mpf(10) ** (5 - mp.dps) * x:
            return x


def log_series(z: mpf) -> mpf:
    s = sqrt(z)
    return (2 * atanh(s) - 2 * s) / s**3


def exp_series(r: mpf) -> mpf:
    return (expm1(r) - r) / r**2


def lgamma_near_2(t: mpf) -> mpf:
    return loggamma(2 + t) / t


def lgamma_series(w: mpf) -> mpf:
    z = 1 / sqrt(w)
    return (loggamma(z + mpf(1) / 2) - z * (log(z) - 1) - log(2 * pi) / 2) * z


def digamma_series(w: mpf) -> mpf:
    z = 1 / sqrt(w)
    return (psi(0, z + mpf(1) / 2) - log(z)) / w


def trigamma_series(w: mpf) -> mpf:
    z = 1 / sqrt(w)
    return (psi(1, z + mpf(1) / 2) * z - 1) / w


# inverse_digamma splits at y = -1/4; below it the variable is 1 / (3/2 - y).
SPLIT, OFFSET = -mpf(1) / 4, mpf(3) / 2


def inverse_above(q: mpf) -> mpf:
    v = 1 / sqrt(q)
    return (inverse_digamma(log(v)) - mpf(1) / 2 - v) * v


def inverse_below(t: mpf) -> mpf:
    return (inverse_digamma(OFFSET - 1 / t) - t) / t**2


def value(c: Sequence[mpf], x: mpf) -> mpf:
    result = mpf(0)
    for coefficient in reversed(c):
        result = result * x + coefficient
    return result


def nodes(low: mpf, high: mpf, n: int) -> list[mpf]:
    """The n Chebyshev nodes of (low, high)."""
    return [(low + high - (high - low) * cos((2 * i + 1) * pi / (2 * n))) / 2 for i in range(n)]


def interpolate(
    f: Callable[[mpf], mpf], low: mpf, high: mpf, m: int, n: int
) -> tuple[list[mpf], list[mpf]]:
    """The quotient of polynomials of degrees m and n (1 + ... below) that meets f at the nodes."""
    x = nodes(low, high, m + n + 1)
    a, b = matrix(len(x), len(x)), matrix(len(x), 1)
    for i, xi in enumerate(x):
        b[i] = f(xi)
        for j in range(m + 1):
            a[i, j] = xi**j
        for j in range(1, n + 1):
            a[i, m + j] = -b[i] * xi**j
    c = list(lu_solve(a, b))
    return c[: m + 1], [mpf(1), *c[m + 1 :]]


def table(name: str, c: Sequence[mpf]) -> str:
    numbers = [repr(float(x)) for x in c]
    lines = [", ".join(numbers[i : i + PER_LINE]) for i in range(0, len(numbers), PER_LINE)]
    body = ",\n    ".join(lines)
    return f"static const double {name}[] = {{\n    {body}}};"


def approximation(
    name: str, f: Callable[[mpf], mpf], low: mpf, high: mpf, degrees: tuple[int, int], says: str
) -> str:
    above, below = interpolate(f, low, high, *degrees)
    worst = max(abs(value(above, x) / value(below, x) / f(x) - 1) for x in nodes(low, high, 100))
    text = f"/* {says}; {nstr(worst, 2)}. */\n"
    if degrees[1] == 0:
        return text + table(name, above)
    return text + table(f"{name}_above", above) + "\n" + table(f"{name}_below", below)


def split(name: str, x: mpf, bits: int = 53) -> str:
    """x as a first part of so many bits and a second."""
    with mp.workprec(bits):
        high = float(+x)
    low = repr(float(x - high))
    low = f"({low})" if low.startswith("-") else low
    return f"#define {name}_HIGH {high!r}\n#define {name}_LOW {low}"


def main() -> None:
    s = (sqrt(2) - 1) / (sqrt(2) + 1)
    print(split("LN2", log(2), 40))
    print(split("DIGAMMA_ROOT", DIGAMMA_ROOT))
    half_ln2 = log(2) / 2
    for arguments in (
        ("log_c", log_series, mpf(0), s**2, (6, 0), "(2 atanh(s) - 2 s) / s^3 in s^2, |s| < 0.172"),
        ("exp_c", exp_series, -half_ln2, half_ln2, (9, 0), "(e^r - 1 - r) / r^2, |r| < ln(2) / 2"),
        ("near2_c", lgamma_near_2, -mpf(1) / 2, mpf(1) / 2, (17, 0),
         "ln Gamma(2 + t) / t, |t| < 1/2"),
        ("lgamma_c", lgamma_series, mpf(0), mpf(1) / 9, (10, 0),
         "(ln Gamma(z + 1/2) - z ln z + z - ln(2 pi) / 2) z in 1 / z^2, z > 3"),
        ("digamma_c", digamma_series, mpf(0), mpf(4) / 49, (10, 0),
         "(psi(z + 1/2) - ln z) z^2 in 1 / z^2, z > 3.5"),
        ("trigamma_c", trigamma_series, mpf(0), mpf(4) / 49, (10, 0),
         "(psi'(z + 1/2) z - 1) z^2 in 1 / z^2, z > 3.5"),
        ("inverse_high", inverse_above, mpf(0), exp(-2 * SPLIT), (4, 4),
         "(x - 1/2 - v) v in 1 / v^2, where v = e^psi(x) > e^(-1/4)"),
        ("inverse_low", inverse_below, mpf(0), 1 / (OFFSET - SPLIT), (5, 6),
         "(x - t) / t^2 in t = 1 / (3/2 - psi(x)), psi(x) < -1/4"),
    ):  # fmt: skip
        print(approximation(*arguments))


if __name__ == "__main__":
    main()
