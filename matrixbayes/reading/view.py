"""A text beside its numbers, in every form in which it is shown."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .._base.arguments import instance, shown, whole
from .._base.display import number, percent, show
from .._base.typing import Floats, Ids
from .forms import Scale, as_html, as_text, scale_of
from .pieces import characters, isolated
from .text import GAP, Text
from .values import VALUES, Measured

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MOST = 3000  # tokens in HTML: less than 2 MB
REPR_LINES = 10
NAME = 16  # characters of a token's name


@dataclass(frozen=True, eq=False, repr=False)
class TokenView:
    """A text with each token coloured; made by `show_tokens`.

    ``view[a:b]`` are some of its tokens, on the same scale.

    Attributes
    ----------
    tokens : tuple of str
        The T tokens, as text.
    value : str
        What colours them.
    values : ndarray of shape (T,)
        Its numbers, in `unit`; NaN where there is none.  Of rows known in part the least.
    unit : str
        "bits" or "pseudo-counts".
    measured : Measured
        All numbers.
    """

    tokens: tuple[str, ...]
    value: str
    measured: Measured
    pieces: tuple[str, ...]
    positions: Ids
    columns: tuple[str, ...] | None
    with_posterior: bool
    scale: Scale

    @classmethod
    def of(
        cls,
        text: Text,
        found: Measured,
        columns: tuple[str, ...] | None,
        value: str,
        with_posterior: bool,
    ) -> TokenView:
        """Of the tokens of a text and their numbers."""
        instance(text, Text, "text")
        instance(found, Measured, "found")
        if value not in VALUES:
            raise ValueError(f"value={shown(value)} is not one of {', '.join(map(repr, VALUES))}")
        pieces = characters(text.names)
        if text.spaced:  # words, of which none says that a space follows it
            pieces = [p if t == 0 or p == GAP else f" {p}" for t, p in enumerate(pieces)]
        scale = scale_of(found.of(value)[:, 0], value)
        names, places = tuple(text.names), text.positions
        return cls(names, value, found, tuple(pieces), places, columns, with_posterior, scale)

    @property
    def values(self) -> Floats:
        """What colours the tokens, (T,)."""
        return self.measured.of(self.value)[:, 0]

    @property
    def unit(self) -> str:
        """Of `values`."""
        return VALUES[self.value]

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, key: slice) -> TokenView:
        if not isinstance(key, slice):
            i = operator.index(key)
            i = range(len(self))[i]
            key = slice(i, i + 1)
        cut = {f.name: getattr(self.measured, f.name)[key] for f in fields(Measured)}
        return replace(
            self,
            tokens=self.tokens[key],
            pieces=self.pieces[key],
            positions=self.positions[key],
            measured=Measured(**cut),
        )

    # -- in words ---------------------------------------------------------------

    @property
    def title(self) -> str:
        """What is shown, in a line."""
        n = len(self)
        what = {
            "surprise": "-log2 of its probability",
            "entropy": "of the row that predicts it",
            "concentration": "of the posterior before it",
            "kl": "of the model's row from the posterior mean before it",
        }[self.value]
        name = "KL" if self.value == "kl" else self.value
        mean = ""
        if np.isfinite(self.values).any():
            mean = f", mean {number(float(np.nanmean(self.values)))} {self.unit}"
        return f"{n} token{'' if n == 1 else 's'}: {name} ({what}){mean}"

    def hover(self, t: int) -> str:
        """What there is to say of token `t`, in a few lines."""
        t = whole(t, "t", -len(self), len(self) - 1)
        found = self.measured
        lines = [isolated(_name(self.tokens[t]))]
        if np.isfinite(found.entropy[t, 0]):
            lines += self._came(t)
            lines.append(f"entropy {_between(found.entropy[t])} bits")
            if np.isfinite(found.kl[t, 0]):
                lines.append(f"KL(model || posterior mean) {_between(found.kl[t])} bits")
            if np.isfinite(found.concentration[t]):
                total = number(float(found.concentration[t]))
                lines.append(f"concentration {total} pseudo-counts")
            lines += self._expected(t)
        else:
            lines.append("no row predicts it")
        return "\n".join(lines)

    def _came(self, t: int) -> list[str]:
        """Of the token that came."""
        found = self.measured
        low, high = found.probability[t]
        if np.isnan(low):
            return ["it has no column in the rows"]
        shown = percent(low) if low == high else f"{percent(low)} to {percent(high)}"
        first = f"probability {shown}"
        if self.with_posterior:
            first += f", posterior mean {percent(found.posterior[t])}"
        low, high = found.rank[t]
        rank = f"{low:.0f}" if low == high else f"{low:.0f} or more"
        return [first, f"surprise {_between(found.surprise[t])} bits, rank {rank}"]

    def _expected(self, t: int) -> list[str]:
        """The most probable ones."""
        found = self.measured
        lines = ["most probable:"]
        for j, p, q in zip(found.top[t], found.top_model[t], found.top_posterior[t], strict=True):
            if j < 0:
                continue
            name = isolated(_name(j if self.columns is None else self.columns[j]))
            mean = f" (posterior mean {percent(q)})" if self.with_posterior else ""
            lines.append(f"  {name} {percent(p)}{mean}")
        return lines

    def __repr__(self) -> str:
        return as_text(self, REPR_LINES)

    def text(self, *, width: int = 88) -> str:
        """The whole text, and below each token a bar: the taller, the larger its value.

        Parameters
        ----------
        width : int
            Columns of the terminal.
        """
        return as_text(self, None, width)

    def _repr_html_(self) -> str:
        return self.html()

    def html(self, *, most: int = MOST) -> str:
        """Static HTML: no script, no style sheet, nothing to fetch; colours go with any theme.

        Parameters
        ----------
        most : int
            The most tokens; the rest is counted.
        """
        return as_html(self, most)

    def to_pandas(self) -> pd.DataFrame:
        """A data frame with a line for each token.

        Returns
        -------
        pandas.DataFrame
            Columns ``position``, ``token``, ``probability``, ``surprise``, ``entropy`` (bits),
            ``rank``, ``top`` (the most probable tokens in words); with a posterior ``posterior``
            (its mean of the token), ``kl`` (bits) and ``concentration``, where they are known.  Of
            rows known in part there are least and most: ``surprise`` and ``surprise_most``.
        """
        import pandas as pd

        found = self.measured
        table: dict[str, Any] = {"position": self.positions, "token": list(self.tokens)}
        names = ["probability", "surprise", "entropy", "rank", *["kl"] * self.with_posterior]
        for name in names:
            low, high = found.of(name).T
            if name == "kl" and np.isnan(low).all():
                continue
            table[name] = low
            if (low != high)[np.isfinite(low)].any():
                table[f"{name}_most"] = high
        if self.with_posterior:
            table["posterior"] = found.posterior
            if np.isfinite(found.concentration).any():
                table["concentration"] = found.concentration
        table["top"] = [self._top(t) for t in range(len(self))]
        return pd.DataFrame(table)

    def _top(self, t: int) -> str:
        """The most probable tokens in words."""
        pairs = zip(self.measured.top[t], self.measured.top_model[t], strict=True)
        return ", ".join(
            f"{show(j if self.columns is None else self.columns[j], width=NAME)} {percent(p)}"
            for j, p in pairs
            if j >= 0
        )

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Bars along the text, with the tokens below where they are few.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; a new figure without it.
        """
        from .plots import token_values  # needs matplotlib

        return token_values(self, ax=ax)


def _name(name: object) -> str:
    return show(name, width=NAME)


def _between(bounds: Sequence[float] | Floats) -> str:
    """A number, or two."""
    low, high = (float(x) for x in bounds)
    if low == high:
        return number(low)
    return f"{number(low)} or more" if np.isinf(high) else f"{number(low)} to {number(high)}"
