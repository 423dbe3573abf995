"""`test`: is a model Bayesian at all?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...errors import UsageError
from ..answers import Answer, mendable, say
from ..files import load_prior
from ..models import check_model, loaded, model_name, threads
from ..options import (
    Commands,
    command,
    integers,
    jobs,
    model_options,
    real,
    seed,
    whole,
)

KEYS = ["model", "verdict", "level", "family", "rejected", "tests", "history", "tokens"]
EPILOG = """\
--prior is a file of fit, elicit or study: demonstrations are drawn from it.  The bundled model
needs none.  The tokens are those of the prior by name; --tokens gives a spelling, or id:NUMBER, for
each where a name is none.  That a test rejects is a finding: the status is 0.

examples:
  matrixbayes test
  matrixbayes test gpt2 --prior elicited_prior.safetensors --tokens ' yes, no' --rng 0"""


def add(commands: Commands) -> None:
    """The command's options."""
    about = "five tests of whether a model is Bayesian, with Holm's correction"
    parser = command(commands, "test", run, help=about, keys=KEYS, epilog=EPILOG)
    model_options(parser)
    add = parser.add_argument
    of = "(default: %(default)s)"
    add("--prior", metavar="FILE", help="where demonstrations come from, see below")
    add("--task", choices=["urns", "markov"], default="urns", help=f"draws, or chains {of}")
    add("--null", metavar="FILE", help="prior of the Bayesian learner (default: elicited)")
    add("--tokens", type=_tokens, metavar="NAMES", help="spellings between commas (default: names)")
    add("--prefix", type=integers, metavar="IDS", help="token ids to begin with (default: BOS)")
    add("--shots", type=whole(0), default=8, metavar="N", help=f"demonstrations {of}")
    add("--n", type=whole(2), default=200, metavar="N", help=f"continuations {of}")
    add(
        "--length",
        type=whole(1),
        metavar="N",
        help="of each (default: 32, or what there is room for)",
    )
    add("--n-permutations", type=whole(1), default=8, metavar="N", help=f"of each history {of}")
    add("--noise", type=real(), default=1e-5, help=f"of a log-probability {of}")
    families = ["auto", "iid", "markov", "tree"]
    add("--family", choices=families, default="auto", help=f"what the learner learns {of}")
    add("--max-components", type=whole(1), default=3, metavar="N", help=f"of its prior {of}")
    add("--n-boot", type=whole(1), default=199, metavar="N", help=f"draws of the null {of}")
    add("--level", type=real(0.0, 1.0, open=True), default=0.05, help=f"of the whole card {of}")
    seed(parser)
    jobs(parser)


def _tokens(text: str) -> list[str | int]:
    """Spellings between commas, spaces being part of them; ids as id:NUMBER."""
    found: list[str | int] = []
    for each in text.split(","):
        number = each.removeprefix("id:")
        found.append(int(number) if each != number and number.isdigit() else each)
    return found


OPTIONS: tuple[str, ...] = (
    "tokens",
    "prefix",
    "shots",
    "n",
    "length",
    "n_permutations",
    "noise",
    "family",
)
OPTIONS += ("max_components", "n_boot", "level", "rng")


def run(options: Any) -> Answer:
    """Put a model through all diagnostics."""
    from ...huggingface.demo import BUNDLED
    from ...study.task import true_prior

    check_model(options)
    given = None if options.prior is None else load_prior(options.prior)
    null = None if options.null is None else load_prior(options.null, "null")
    given = given or true_prior(BUNDLED if options.model is None else Path(options.model))
    if given is None:
        raise UsageError("a model of your own needs --prior FILE, what fit or elicit wrote")
    if options.tokens is not None and len(options.tokens) != given.n_tokens:
        raise UsageError(f"--tokens has {len(options.tokens)} names and the prior {given.n_tokens}")
    if options.tokens is None and given.tokens is None:
        raise UsageError("the prior has no names of tokens: give --tokens, a spelling for each")
    model, tokenizer = loaded(options)
    from ...diagnostics import score_card
    from ...windtunnel import MarkovChains, Urns

    task = {"urns": Urns, "markov": MarkovChains}[options.task](given)
    say(options, f"testing on {options.n} continuations")
    own = {name: getattr(options, name) for name in OPTIONS}
    with threads(options.n_jobs), mendable():
        card = score_card(model, tokenizer, task, null=null, **own)
    tests = [
        {
            "name": test.name,
            "statistic": test.statistic,
            "p_value": test.p_value,
            "p_holm": float(p),
            "rejected": bool(p <= card.level),
            "verdict": test.verdict,
        }
        for test, p in zip(card.tests, card.adjusted, strict=True)
    ]
    data = {
        "model": model_name(options),
        "verdict": card.verdict,
        "level": card.level,
        "family": card.family,
        "rejected": [test["name"] for test in tests if test["rejected"]],
        "tests": tests,
        "history": card.history,
        "tokens": options.tokens or given.tokens,
    }
    return Answer(repr(card).splitlines(), data)
