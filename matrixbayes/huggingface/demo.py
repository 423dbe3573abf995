"""The model that comes with the package: a tiny GPT-2 that has read draws from urns, no more.

Contents
    load_demo         the model, its tokenizer, and prompts to show it
    Demo              these three, and the prior that the model was trained on
    BUNDLED           the folder that holds it
    recorded_prior    the prior that a model's folder says it was trained on
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from ..mixture import DirichletMixture

BUNDLED = Path(__file__).parents[1] / "data" / "urns"
N_PROMPTS = 300
WORDS = 48  # of each prompt; the model has read sequences of 64


class Demo(NamedTuple):
    """What `load_demo` gives: ``model, tokenizer, prompts = load_demo()``, or by these names.

    Attributes
    ----------
    model
        A ``GPT2LMHeadModel`` of 104,832 parameters, on the CPU, ready to predict.
    tokenizer
        Its tokenizer, of eight colours.
    prompts : list of str
        300 sequences of 48 colours, each drawn from an urn of its own; the same ones every time.
    """

    model: Any
    tokenizer: Any
    prompts: list[str]

    @property
    def truth(self) -> DirichletMixture:
        """The prior that the urns come from, of the training and of the prompts; by colour."""
        truth = recorded_prior(BUNDLED)
        assert truth is not None
        return truth

    @property
    def tokens(self) -> tuple[str, ...]:
        """The eight colours."""
        return tuple(self.truth.tokens or ())

    def __repr__(self) -> str:
        size = f"{self.model.num_parameters():,} parameters"
        lines = (
            f"Demo: a tiny GPT-2 that has read draws from urns of {len(self.tokens)} colours",
            f"  model      {type(self.model).__name__}, {size}",
            f"  tokenizer  {type(self.tokenizer).__name__}",
            f"  prompts    {len(self.prompts)}, the first: {self.prompts[0][:40]!r}...",
            f"  truth      the prior of its urns, {self.truth.n_components} components",
        )
        return "\n".join(lines)


def load_demo() -> Demo:
    """Load the bundled model: something to try everything on, in a second and without a download.

    It has read nothing but draws from urns.  For each sequence of its training an urn was made,
    a distribution over eight colours, from a known mixture of three Dirichlets: warm urns, cold
    ones and even ones.  It never saw an urn, only the draws.

    Returns
    -------
    Demo
        A named tuple of three: ``model``, ``tokenizer`` and ``prompts``, which are fresh draws from
        fresh urns.  It has the prior behind them too, as ``truth``, and the colours as ``tokens``.

    Raises
    ------
    ImportError
        torch or transformers is not installed.

    Examples
    --------
    >>> import matrixbayes as mb
    >>> model, tokenizer, prompts = mb.load_demo()
    >>> len(prompts), prompts[0].split()[:4]
    (300, ['white', 'black', 'purple', 'black'])
    >>> demo = mb.load_demo()
    >>> rows = mb.collect(demo.model, demo.tokenizer, demo.prompts, vocab=list(demo.tokens))
    >>> rows.shape
    (300, 9)
    >>> demo.truth.weights.tolist()
    [0.5, 0.3, 0.2]
    """
    try:
        with warnings.catch_warnings():
            # What tqdm says to everyone who has no ipywidgets, though no bar is to be drawn.
            warnings.filterwarnings("ignore", message="IProgress not found")
            import torch  # noqa: F401, transformers imports without it
            from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as error:
        raise ImportError(
            'the demo is a model of torch and transformers: pip install "matrixbayes[hf]"'
        ) from error
    with _no_bars():
        model = AutoModelForCausalLM.from_pretrained(str(BUNDLED), local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(str(BUNDLED), local_files_only=True)
    truth = recorded_prior(BUNDLED)
    assert truth is not None
    return Demo(model.eval(), tokenizer, _drawn(truth))


def _drawn(truth: DirichletMixture) -> list[str]:
    """Prompts: an urn from the prior, then draws from the urn."""
    rng = np.random.default_rng(0)
    names = truth.tokens or ()
    urns = np.asarray(truth.sample(N_PROMPTS, rng=rng))
    draws = [rng.choice(len(urn), size=WORDS, p=urn / urn.sum()) for urn in urns]
    return [" ".join(names[v] for v in row) for row in draws]


@contextmanager
def _no_bars() -> Iterator[None]:
    """No progress bar for what loads at once, and afterwards those that there were."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def recorded_prior(folder: Path) -> DirichletMixture | None:
    """The prior that ``training.json`` of a model's folder records; None without that file.

    Raises
    ------
    KeyError, TypeError, ValueError
        The file is not as `tools/train_urns.py` writes it.
    """
    from ..mixture import DirichletMixture

    path = folder / "training.json"
    if not path.is_file():
        return None
    prior = json.loads(path.read_text(encoding="utf-8"))["prior"]
    return DirichletMixture(prior["weights"], prior["alpha"], tokens=tuple(prior["tokens"]))
