"""What `elicit_prior` returns: a prior, how well it explains a model, what the data leave open."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .._base import display
from .._base.typing import Floats
from ..mixture import DirichletMixture
from ..sources.names import parts_of
from .design import design
from .histories import Histories, check_kind, checked_histories
from .identification import Identification
from .measures import ElicitationPoints, Floor, KLByLength
from .misfit import KLByPlace, Misfit
from .objective import Predictor
from .parameters import Parameters
from .predictor import ElicitedPredictor

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .families import FamilyComparison


@dataclass(frozen=True, eq=False, repr=False)
class ElicitationReport:
    """What `elicit_prior` found.

    Attributes
    ----------
    family : str
        The family that was fitted, or is the best of those that were.
    priors : dict of str to DirichletMixture
        The elicited prior of the rows of each part that is a mixture, "iid" or "markov" or both;
        components by falling weight.
    weight : float or ndarray
        Prior probability of the last part where there are two, that of each where there are more;
        else 1.
    discount, temperature : float
        As fitted or given; 1 for none.
    order : int
        Tokens that key a row of the "markov" part.
    n_parameters : int
        Free numbers of the family.
    mean_kl : float
        Weighted mean of KL(model || predictive) over the rows, in nats.
    baseline_kl : float
        The same for the best constant prediction, the mean row.
    r2 : float
        Share of the variance of the model's probabilities about their mean row that the
        predictive explains; 1 or 0 where they do not vary.
    mae : float
        Mean absolute difference between the model's probabilities and the predictive.
    kl_by_length : KLByLength
        Arrays ``length``, ``n_rows``, ``mean_kl``.  Totals of real-valued counts are rounded down.
    points : ElicitationPoints
        Some thousands of single probabilities, for `plot`.
    n_rows, n_distinct : int
        Rows given, and histories among them that differ in what the family sees of them.
    converged : bool
        Whether the best start ended where the gradient is zero to `tol` or to rounding, or the
        mean KL had all but ceased to fall.
    n_iter : int
        Iterations of the best start.
    start_kls : tuple of float
        The mean KL that each start ended at, in nats.
    largest_slope : float
        The largest derivative where the best start ended, in the units of `tol`.
    identification : Identification
        What the data leave open: see `flags`.
    intervals : dict of str to ndarray
        The ends (axis 0) of the bootstrap intervals at `level`: ``"iid.weights"``,
        ``"iid.concentration"``, ``"iid.alpha"`` and the same of ``"markov"`` as far as the family
        has them, ``"weight"``, ``"discount"``, ``"temperature"``.  Empty without a bootstrap.
    level : float
        Of the intervals.
    draws : dict of str to ndarray
        What the intervals are percentiles of: the same names, a sample each (axis 0).
    comparison : FamilyComparison or None
        The cross-validated comparison of the families, and the reports of the others.
    numbers : dict of str to dict of str to float or ndarray
        What the other parts are made of.  Of "tree": ``alpha`` (V,) of the root, ``repeat`` and
        ``others`` (2,) of nodes one token deep and deeper, ``deeper``, the prior chance of a
        child.  Of "balance": ``strength`` and ``memory``.  Of chains whose keys have priors of
        their own: ``alpha``, and where they are tied by "repeat" ``repeat`` and ``others``.
    columns : int
        V.
    column_names : tuple of str or None
        Names of the tokens.
    depth : int
        Tokens that the deepest nodes of "tree" stand for.
    kl_error : float
        Standard error of `mean_kl`, from whole groups of histories; NaN where there is one group.
    kl_error_within : float
        Of two levels of groups, what new inner groups of the same outer ones would change; NaN
        without two levels, or where an outer group has one inner.
    floor : Floor or None
        ``kl``: the mean KL of the best function of the history at all, which no family ends below;
        ``error``, ``repeated``, ``corrected``: how far that can be told.
    kl_by_place : dict of str to KLByPlace, or None
        Mean KL, constant and floor by class of "length", and within that by "last" token.
    misfits : tuple of Misfit
        What `warnings` is made of: a ``kind`` and a ``text`` each.

    See Also
    --------
    elicit_prior : makes one, with an example.
    """

    family: str
    priors: dict[str, DirichletMixture]
    weight: float
    discount: float
    temperature: float
    order: int
    n_parameters: int
    mean_kl: float
    baseline_kl: float
    r2: float
    mae: float
    kl_by_length: KLByLength
    points: ElicitationPoints
    n_rows: int
    n_distinct: int
    converged: bool
    n_iter: int
    start_kls: tuple[float, ...]
    largest_slope: float
    identification: Identification
    intervals: dict[str, Floats]
    level: float
    comparison: FamilyComparison | None
    kl_error: float = np.nan
    kl_error_within: float = np.nan
    floor: Floor | None = None
    kl_by_place: dict[str, KLByPlace] | None = None
    misfits: tuple[Misfit, ...] = ()
    numbers: dict[str, dict[str, Any]] = field(default_factory=dict)
    columns: int = 0
    column_names: tuple[str, ...] | None = None
    depth: int = 4
    draws: dict[str, Floats] = field(default_factory=dict)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({"numbers": {}, "draws": {}} | state)  # of before there were others

    @property
    def prior(self) -> DirichletMixture:
        """The prior of a family that has one."""
        if not self.priors:
            raise AttributeError(
                f"family {self.family!r} has no Dirichlet prior of rows: `numbers` has what it is "
                "made of, and predictor() predicts and samples"
            )
        if len(self.priors) > 1:
            names = " and ".join(f"priors[{part!r}]" for part in self.priors)
            many = "two" if len(self.priors) == 2 else "several"
            raise AttributeError(f"family {self.family!r} has {many} priors: {names}")
        return next(iter(self.priors.values()))

    @property
    def n_tokens(self) -> int:
        """V."""
        return self.columns or next(iter(self.priors.values())).n_tokens

    @property
    def tokens(self) -> tuple[str, ...] | None:
        """Names of the tokens."""
        return next(iter(self.priors.values())).tokens if self.priors else self.column_names

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the family, in the order of `weights`."""
        return tuple(parts_of(self.family))

    @property
    def weights(self) -> Floats:
        """The prior probability of each part."""
        return self.parameters.shares

    @property
    def parameters(self) -> Parameters:
        """The numbers of the family."""
        priors: dict[str, Any] = {}
        for part in self.parts:
            mixture = self.priors.get(part)
            own = self.numbers.get(part) if mixture is None else (mixture.weights, mixture.alpha)
            priors[part] = own
        return Parameters(priors, self.weight, self.discount, self.temperature)

    @property
    def mean_kl_bits(self) -> float:
        """`mean_kl` in bits."""
        return self.mean_kl / float(np.log(2.0))

    @property
    def baseline_kl_bits(self) -> float:
        """`baseline_kl` in bits."""
        return self.baseline_kl / float(np.log(2.0))

    @property
    def n_starts(self) -> int:
        """How many starts were made."""
        return len(self.start_kls)

    @property
    def n_agreeing(self) -> int:
        """How many starts ended within a hundredth of the best mean KL, or within a ten-thousandth
        of what a constant leaves, or 1e-8 nats."""
        best = min(self.start_kls)
        near = max(1e-2 * best, 1e-4 * self.baseline_kl, 1e-8)
        return sum(kl <= best + near for kl in self.start_kls)

    @property
    def flags(self) -> tuple[str, ...]:
        """A sentence for each parameter that the data do not identify, and each of `warnings`;
        empty if all is well."""
        return (*self.identification.flags, *self.warnings)

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence for each way in which the family does not fit the model: worse than a constant
        at some length; predictions that go against their own history; a mean KL far above the floor
        by length and last token.  Empty if none was found."""
        return tuple(f"{each.text}: {self._remedy(each)}" for each in self.misfits)

    def _remedy(self, misfit: Misfit) -> str:
        if self.comparison is None:
            return "hold it against all families (family='all')"
        if misfit.kind == "floor" and (self.discount, self.temperature) == (1.0, 1.0):
            return "let discount='fit' or temperature='fit', or more components, explain it"
        return "no family here explains it, so use its predictions elsewhere and not its parameters"

    def predict(self, histories: Any, *, history_kind: str = "tokens") -> Floats:
        """The prediction of the elicited prior after each history.

        Parameters
        ----------
        histories
            As for `elicit_prior`.
        history_kind : {"tokens", "counts"}
            As for `elicit_prior`.

        Returns
        -------
        ndarray of shape (N, V)
            Probabilities.
        """
        predictor = self._predictor(checked_histories(histories, history_kind, self.n_tokens))
        found = predictor.forward(self.parameters)
        return predictor.rows(found, self.temperature, predictor.design.group)

    def posterior(self, history: Any, *, history_kind: str = "tokens") -> DirichletMixture:
        """The posterior of the next token's row after one history.

        Its components are those of the active row of each part, and its mean the prediction where
        the temperature is 1.

        Parameters
        ----------
        history : sequence of int, or array_like of shape (V,), or of (1, V), which may be sparse
            As one of those of `elicit_prior`.
        history_kind : {"tokens", "counts"}
            As for `elicit_prior`.

        Returns
        -------
        DirichletMixture
        """
        rows = history if getattr(history, "ndim", 1) == 2 else [history]
        known = checked_histories(rows, history_kind, self.n_tokens)
        if known.n != 1:
            raise ValueError(f"there are {known.n} histories; a posterior is after one")
        predictor = self._predictor(known)
        weights, alpha = predictor.posterior(predictor.forward(self.parameters), 0)
        return DirichletMixture(weights, alpha, tokens=self.tokens)

    def predictor(self) -> ElicitedPredictor:
        """The elicited prior as a model: it predicts, samples texts, and scores them."""
        return ElicitedPredictor(self)

    def _predictor(self, histories: Histories) -> Predictor:
        check_kind(histories, self.family, self.discount)
        fading = self.discount < 1.0
        seen = design(histories, self.family, self.order, fading, depth=self.depth)
        return Predictor(seen, self.discount)

    def plot(
        self, *, by: str = "length", ax: Axes | None = None, figure: Figure | None = None
    ) -> Any:
        """Predicted against observed probabilities; `plot.elicitation`.

        Parameters
        ----------
        by : {"length", "last", "kl"}
            As in `plot.elicitation`.
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure without it.
        figure : matplotlib.figure.Figure, optional
            Where to draw all of `plot_figure` instead.

        Returns
        -------
        matplotlib.axes.Axes
            Or the figure, where one was given.
        """
        from .plots import elicitation  # needs matplotlib

        return (
            elicitation(self, by=by, ax=ax) if figure is None else self.plot_figure(figure=figure)
        )

    def plot_figure(self, *, figure: Figure | None = None) -> Figure:
        """The same by length and by last token, and the KL; `plot.elicitation_figure`."""
        from .plots import elicitation_figure  # needs matplotlib

        return elicitation_figure(self, figure=figure)

    def to_arviz(self) -> Any:
        """The samples of the bootstrap as ArviZ data, one chain.

        Returns
        -------
        xarray.DataTree
            ``posterior`` with a variable for each name of `draws`; of a part with components the
            axes are ``iid_component`` and ``token``, or those of its name.

        Raises
        ------
        ValueError
            There was no bootstrap: `elicit_prior` takes ``n_boot=``.
        ImportError
            arviz-base is not installed.
        """
        from ..mixture.interop import arviz_data

        if not self.draws:
            raise ValueError("there are no draws; elicit_prior(..., n_boot=200) makes some")
        names = list(range(self.n_tokens) if self.tokens is None else self.tokens)
        dims, coords = {}, {"token": names}
        for name in self.draws:
            part, _, what = name.partition(".")
            if part in self.priors and what in ("weights", "concentration", "alpha"):
                component = f"{part}_component"
                dims[name] = [component, "token"] if what == "alpha" else [component]
                coords[component] = list(range(self.priors[part].n_components))
        groups = {"posterior": {name: values[np.newaxis] for name, values in self.draws.items()}}
        return arviz_data(groups, coords, dims)

    def to_pandas(self) -> pd.DataFrame:
        """A row for each component of each part, as `DirichletMixture.to_pandas` has it.

        Where no part is a mixture, a row for each number that the parts are made of.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        if self.priors:
            import pandas as pd

            frames = {part: prior.to_pandas() for part, prior in self.priors.items()}
            return pd.concat(frames, names=["part"])
        rows = [
            (part, name, i, float(value))
            for part, numbers in self.numbers.items()
            for name, values in numbers.items()
            for i, value in enumerate(np.ravel(values))
        ]
        names = ["part", "parameter", "place", "value"]
        columns = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {}
        return display.frame(columns, index=range(len(rows)))

    def _measures(self) -> list[list[Any]]:
        state = "converged" if self.converged else "NOT converged"
        bits = 1.0 / float(np.log(2.0))
        error = "" if np.isnan(self.kl_error) else f" ± {display.number(bits * self.kl_error)}"
        lines = [
            ["rows", f"{self.n_rows} ({self.n_distinct} distinct histories)"],
            ["mean KL(model || predictive)", f"{display.number(self.mean_kl_bits)}{error} bits"],
            ["of a constant prediction", f"{display.number(self.baseline_kl_bits)} bits"],
        ]
        if self.floor is not None:
            lines.append(["floor of any function of the history", self.floor.text("bits", bits)])
        lines += [
            ["R2, mean absolute error", f"{display.number(self.r2)}, {display.number(self.mae)}"],
        ]
        lines += self._numbers()
        for name in ("discount", "temperature"):
            value = getattr(self, name)
            if value != 1.0 or name in self.identification.scalars:
                lines.append([name, self._with_interval(name, value)])
        lines += [
            [
                "search",
                f"{state} after {self.n_iter} iterations; "
                f"{self.n_agreeing} of {self.n_starts} starts agree",
            ],
            ["not identified", "; ".join(self.identification.flags) or "nothing"],
        ]
        lines += [["misfit", text] for text in self.warnings]
        return lines

    def _numbers(self) -> list[list[Any]]:
        """Weights of parts, and the single numbers that they are made of."""
        lines = []
        names = ["weight"] if len(self.parts) == 2 else [f"weight of {p}" for p in self.parts[1:]]
        for name, part, weight in zip(names, self.parts[1:], self.weights[1:], strict=False):
            lines.append([f"prior weight of {part}", self._with_interval(name, float(weight))])
        for part, numbers in self.numbers.items():
            for name, value in numbers.items():
                if name == "alpha":
                    continue
                key = f"{part}.{name}"
                many = np.ravel(value)
                said = [self._with_interval(key, float(x), i) for i, x in enumerate(many)]
                lines.append([f"{part}, {name}", "; ".join(said)])
        return lines

    def _with_interval(self, name: str, value: float, place: int = 0) -> str:
        if name not in self.intervals:
            return f"{value:.4g}"
        low, high = self.intervals[name].reshape(2, -1)[:, place]
        return f"{value:.4g} ({100 * self.level:g}%: {low:.4g} to {high:.4g})"

    def __repr__(self) -> str:
        title = f"ElicitationReport: family {self.family!r}"
        if self.priors:
            k = next(iter(self.priors.values())).n_components
            title += f", {k} component{'' if k == 1 else 's'}"
            title += " each" * (len(self.priors) > 1)
        title += f" over {self.n_tokens} tokens"
        measures = self._measures()
        if len(measures) >= display.MAX_TEXT_LINES:  # what else tells the same goes first
            less = ("of a constant prediction", "R2, mean absolute error")
            measures = [line for line in measures if line[0] not in less]
        while len(measures) >= display.MAX_TEXT_LINES:
            *measures, (first, one), (second, other) = measures
            measures.append([first, f"{one}; {second}: {other}"])
        words = [f"  {name}: {value}" for name, value in measures]
        text = display.Table(title, words=words).text()
        if "... and" not in text.rsplit("\n", 1)[-1]:
            return text
        return "\n".join(display.cut(line, display.MAX_TEXT_WIDTH) for line in [title, *words])

    def _repr_html_(self) -> str:
        title = f"Elicited prior, family {self.family}"
        parts = [display.Table(title, ["measure", "value"], self._measures()).html()]
        for part, prior in self.priors.items():
            table = prior._table()
            parts.append(table._replace(title=f"rows, {part}: {table.title}").html())
        if self.comparison is not None:
            parts.append(self.comparison._repr_html_())
        return "".join(parts)
