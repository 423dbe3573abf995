"""Every causal class of the installed transformers: what the product says of it is so.

A tiny random model of each class is held against torch on single texts.  A number below is the
largest distance in natural logarithms of probability.

The table of all classes: ``python tests/huggingface/test_architectures.py [class ...]``.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import matrixbayes as mb

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

sys.path.append(str(Path(__file__).parents[1]))  # where this file is run by itself

from huggingface.tiny_models import BOS, CLASSES, EXCEPTIONS, since_5, tiny_model  # noqa: E402

TEXTS = [[3, 4, 5, 6, 7, 8, 9, 10], [11, 12], [13, 14, 15, 16, 17]]
TOKENS = np.arange(3, 60)
TOLERANCE = 1e-5  # of the largest log-probability that is compared, or of 1

AHEAD = "is no causal model"
EMBED = "is no function of its input embeddings alone"
# What is refused, and with which words; everything else has to hold.
REFUSED = {
    "CpmAntForCausalLM": {"all": AHEAD},  # a text attends to itself in both directions
    "ProphetNetForCausalLM": {"all": AHEAD},  # the rows of its streams depend on what follows
    # its mask of "uni" attention does not take several texts, and "bi" reads ahead
    "XLNetLMHeadModel": {"all": "does not run on a text of token ids alone"},
    "BltForCausalLM": {"embed": EMBED},  # cuts patches by ids
    "Gemma4ForCausalLM": {"embed": EMBED},  # a second embedding in each layer, by ids
    "Gemma4ForConditionalGeneration": {"embed": EMBED},
}
# One of each kind, for the quick suite.
QUICK = {
    "GPT2LMHeadModel": "learned positions, a tied head",
    "LlamaForCausalLM": "rotary positions, groups of heads",
    "OPTForCausalLM": "a projection, positions from the mask",
    "BloomForCausalLM": "slopes for positions, says nothing of being causal",
    "PhiForCausalLM": "a bias of the head",
    "Gemma2ForCausalLM": "a softcap, a window, scaled embeddings",
    "Gemma3nForCausalLM": "four streams of states",
    "Gemma4ForCausalLM": "embeddings in each layer",
    "GraniteForCausalLM": "a scale of logits, of embeddings",
    "MiniCPM3ForCausalLM": "latent attention, a scale before the head",
    "BertLMHeadModel": "a transform before the head",
    "ModernBertDecoderForCausalLM": "the same, and a window",
    "ReformerModelWithLMHead": "two streams in one state, no cache",
    "MambaForCausalLM": "a state of its own, wrong with a mask",
    "BambaForCausalLM": "states and attention, a wrong cache",
    "RwkvForCausalLM": "a state that mixes texts up",
    "RecurrentGemmaForCausalLM": "recurrences and a window",
    "MixtralForCausalLM": "experts",
    "InklingForCausalLM": "logits narrower than the head",
    "CpmAntForCausalLM": "reads ahead",
}


def alone(model: Any, text: list[int]) -> Any:
    """The rows of a text by itself, without any of our help."""
    with torch.no_grad():
        try:
            logits = model(input_ids=torch.tensor([text]), use_cache=False).logits
        except TypeError:  # it knows no cache
            logits = model(input_ids=torch.tensor([text])).logits
    return torch.log_softmax(logits[0].double(), -1).numpy()


def away(found: Any, expected: Any) -> float:
    """The largest distance, in parts of the largest number."""
    return float(np.abs(found - expected).max() / max(1.0, np.abs(expected).max()))


def normal(logits: Any) -> Any:
    """Log-probabilities of logits."""
    return torch.log_softmax(torch.as_tensor(logits).detach().double(), -1).numpy()


def rows(model: Any) -> float:
    """`collect` in padded batches, all positions."""
    found = mb.collect(model, None, TEXTS, positions="all", progress=False)
    return away(found.log_probs, np.concatenate([alone(model, text) for text in TEXTS]))


def hidden(model: Any) -> float:
    """The head over the states that `collect` keeps."""
    found = mb.collect(model, None, TEXTS, positions="all", hidden=True, progress=False)
    assert found.hidden is not None
    head = mb.head_of(model, norm=False)
    width = found.shape[1]
    return away(normal(head(torch.tensor(found.hidden)))[:, :width], found.log_probs)


def embed(model: Any) -> float:
    """The network as a function of the last token's embedding, at that of the token itself."""
    text = TEXTS[2]
    words = model.get_input_embeddings().weight.detach().numpy()
    found = mb.embed_of(model, text)(words[[text[-1]]])
    return away(normal(found)[0], alone(model, text)[-1])


def predict(model: Any) -> float:
    """Rows over some of the tokens."""
    predictor = mb.TokenPredictor(model, TOKENS, prefix=[BOS])
    histories: list[list[int]] = [[], [0, 1, 2], [5], [9, 9, 1, 2, 3, 4]]
    expected = [alone(model, [BOS, *TOKENS[h]])[-1, TOKENS] for h in histories]
    return away(predictor.predict(histories), normal(np.array(expected)))


def sample(model: Any) -> float:
    """How far the uniform numbers lie outside what `predict` gives the tokens they chose."""
    predictor = mb.TokenPredictor(model, TOKENS, prefix=[BOS])
    n, length = 2, 12
    found = predictor.sample(n, length, rng=3)
    draws = np.random.default_rng(3).random((n, length))
    outside = [0.0]
    for t in range(length):
        ends = np.exp(predictor.predict(found[:, :t])).cumsum(axis=1)
        ends /= ends[:, -1:]
        for x, token, row in zip(draws[:, t], found[:, t], ends, strict=True):
            outside += [x - row[token], (row[token - 1] if token else 0.0) - x]
    return max(outside)


def preflight(model: Any) -> float:
    """The word of `preflight`: no error and no warning."""
    report = mb.preflight(model, None, TEXTS, hidden=True)
    if report.ok:
        return 0.0
    raise ValueError(str(report.findings[0].message))


CHECKS: dict[str, Callable[[Any], float]] = {
    each.__name__: each for each in (rows, hidden, embed, predict, sample, preflight)
}


def measured(name: str) -> dict[str, float | str]:
    """What each check gives for a class: a number, or the sentence that refuses it."""
    model = tiny_model(name)
    found: dict[str, float | str] = {}
    for check, call in CHECKS.items():
        try:
            found[check] = call(model)
        except ValueError as error:
            found[check] = str(error)
    return found


def held(name: str) -> None:
    """Every check of a class holds, or is refused as it should be."""
    refused = REFUSED.get(name, {})
    for check, found in measured(name).items():
        words = refused.get(check, refused.get("all"))
        if words is not None and not (check == "embed" and "all" in refused):
            assert isinstance(found, str), f"{check} of {name} is no longer refused"
            assert words in found
        elif words is None:
            assert isinstance(found, float), f"{check} of {name}: {found}"
            assert found <= TOLERANCE, f"{check} of {name} is {found:.1e} away"


@pytest.mark.parametrize("name", QUICK)
def test_one_of_each_kind(name: str) -> None:
    held(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(CLASSES) - set(QUICK)))
def test_every_class(name: str) -> None:
    if name in EXCEPTIONS:
        pytest.skip(EXCEPTIONS[name])
    held(name)


@since_5
def test_the_lists_are_of_classes_that_are_there() -> None:
    assert set(QUICK) | set(REFUSED) | set(EXCEPTIONS) <= set(CLASSES)


# ---------------------------------------------------------------------------
# A model that others trained
# ---------------------------------------------------------------------------

STORIES = Path(__file__).resolve().parents[3] / "shared" / "models" / "stories260K"
PROMPTS = ["Once upon a time", "Lily and Tom went to the park.", "The", "One day, a big dog "]


@pytest.mark.skipif(not STORIES.is_dir(), reason="stories260K is not beside the project")
@pytest.mark.parametrize("folder", [pytest.param("", marks=since_5), "tokenizer_sentencepiece"])
def test_a_trained_model_with_either_tokenizer(folder: str) -> None:
    if folder:
        pytest.importorskip("sentencepiece")
        pytest.importorskip("google.protobuf")
    model = transformers.AutoModelForCausalLM.from_pretrained(STORIES).eval()
    kind = transformers.LlamaTokenizer if folder else transformers.AutoTokenizer
    tokenizer = kind.from_pretrained(STORIES / folder)
    found = mb.collect(model, tokenizer, PROMPTS, positions="all", hidden=True, progress=False)
    texts = [tokenizer(prompt)["input_ids"] for prompt in PROMPTS]
    expected = np.concatenate([alone(model, text) for text in texts])
    assert away(np.take(found.log_probs, np.argsort(found.token_ids), axis=1), expected) < TOLERANCE
    head = mb.head_of(model, norm=False)
    assert away(normal(head(torch.tensor(found.hidden))), expected) < TOLERANCE
    for check in (rows, hidden, embed, predict, sample):
        assert check(model) < TOLERANCE, check.__name__


# ---------------------------------------------------------------------------
# The table
# ---------------------------------------------------------------------------


def _table(names: list[str]) -> None:
    """A line for each class; a distance, "refused", or what is wrong."""
    print(f"{'class':46}" + "".join(f"{check:>10}" for check in CHECKS))
    good = 0
    for name in names:
        if name in EXCEPTIONS:
            print(f"{name:46}  not built: {EXCEPTIONS[name]}")
            continue
        found = measured(name)
        cells = [f"{v:.0e}" if isinstance(v, float) else "refused" for v in found.values()]
        cells[-1] = "ready" if found["preflight"] == 0.0 else cells[-1]
        print(f"{name:46}" + "".join(f"{cell:>10}" for cell in cells), flush=True)
        good += all(isinstance(v, float) and v <= TOLERANCE for v in found.values())
    print(f"{good} of {len(names)} wholly right; transformers {transformers.__version__}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    _table(sys.argv[1:] or list(CLASSES))
