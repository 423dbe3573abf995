"""Train the bundled tiny language model on urns, and measure how Bayesian it is.

    python tools/train_urns.py                    # train, measure, write the folder
    python tools/train_urns.py --evaluate-only    # measure that folder again

An urn is a row p over eight colour words, drawn from a known mixture of three
Dirichlets.  A training sequence is ``<bos>`` followed by 64 words drawn
independently from one urn.  A model that predicts such sequences as well as
possible must do Bayesian updating in context: the best prediction after a
history with counts n is the exact predictive

    sum_k w_k' (alpha_kv + n_v) / (A_k + N),
    w_k' proportional to w_k B(alpha_k + n) / B(alpha_k).

So this is a language model whose prior is known.  It is what the demonstration
and the tests of matrixbayes use to show that a prior recovered from a model's
predictions is the right one.

The model is an ordinary GPT-2 with an ordinary tokenizer, and it learns from
sampled words alone, by cross-entropy: the exact predictive is used only to
measure the result, as the mean of KL(exact || model) in bits over all
positions with 0 to 48 words of history.  The folder written holds the figure
and everything needed to reach it again, in ``training.json``.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers
from scipy.special import gammaln, logsumexp
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch.nn.functional import cross_entropy
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

FOLDER = Path(__file__).resolve().parents[1] / "matrixbayes" / "data" / "urns"
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "white", "black")
BOS, PAD = "<bos>", "<pad>"
VOCABULARY = {word: i for i, word in enumerate((*COLOURS, BOS, PAD))}
SEQUENCE = 64  # words per training sequence; the last one is only ever a target
HISTORY = 48  # the longest history that the evaluation looks at
EVALUATION_SEED = 20_240_203
PEAK_RATE = 5e-3
AVERAGE = 100  # steps that the moving average of the weights looks back
THREADS = 1  # a second gains little on matrices this small; sums, so last bits, depend on it


@dataclass(frozen=True)
class Urns:
    """A mixture of Dirichlets over rows: weights (K,), alpha (K, V)."""

    weights: Floats
    alpha: Floats

    def sample(self, n: int, length: int, rng: np.random.Generator) -> Ids:
        """Draw n urns and `length` words from each: column indices (n, length)."""
        component = rng.choice(len(self.weights), size=n, p=self.weights)
        gamma = rng.standard_gamma(self.alpha[component])
        cdf = np.cumsum(gamma, axis=1)
        u = rng.random((n, length, 1)) * cdf[:, None, -1:]
        return (u >= cdf[:, None, :-1]).sum(axis=2)

    def predictive(self, words: Ids) -> Floats:
        """Exact predictives after each prefix, (n, T) words to (n, T + 1, V)."""
        n, length = words.shape
        counts = np.zeros((n, length + 1, self.alpha.shape[1]))
        np.cumsum(np.eye(self.alpha.shape[1])[words], axis=1, out=counts[:, 1:])
        total = self.alpha.sum(axis=1)
        posterior = self.alpha + counts[:, :, None, :]
        posterior_total = total + np.arange(length + 1)[:, None]
        log_evidence = (gammaln(posterior) - gammaln(self.alpha)).sum(axis=3)
        log_evidence += gammaln(total) - gammaln(posterior_total)
        log_weights = np.log(self.weights) + log_evidence
        log_weights -= logsumexp(log_weights, axis=2, keepdims=True)
        means = posterior / posterior_total[None, :, :, None]
        return np.einsum("ntk,ntkv->ntv", np.exp(log_weights), means)


URNS = Urns(
    weights=np.array([0.5, 0.3, 0.2]),
    alpha=np.array(
        [
            [6.0, 3.0, 1.5, 0.8, 0.8, 0.5, 0.5, 0.4],
            [0.5, 0.5, 0.8, 0.8, 1.5, 3.0, 6.0, 3.0],
            [5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0],
        ]
    ),
)


def build_tokenizer() -> PreTrainedTokenizerFast:
    """One id per colour word, ``<bos>`` put in front; an unknown word is an error."""
    backend = Tokenizer(models.WordLevel(VOCABULARY))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, VOCABULARY[BOS])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=BOS,
        pad_token=PAD,
        padding_side="right",
        model_max_length=SEQUENCE,
        clean_up_tokenization_spaces=False,
        # GPT-2 adds the embedding of every token type it is given, so give it none.
        model_input_names=["input_ids", "attention_mask"],
    )


def build_model(tokenizer: PreTrainedTokenizerFast) -> GPT2LMHeadModel:
    """A GPT-2 small enough to ship: no dropout, wider initial weights than usual."""
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=SEQUENCE,
            n_embd=64,
            n_layer=2,
            n_head=2,
            activation_function="relu",
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            initializer_range=0.05,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=None,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def colour_ids(tokenizer: PreTrainedTokenizerBase) -> Ids:
    """The token id of each colour, in the order of the columns of the prior."""
    return np.array(tokenizer.convert_tokens_to_ids(list(COLOURS)), dtype=np.int64)


def batches(seed: int, size: int, ids: Ids) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless pairs (input ids, next ids), each (size, SEQUENCE)."""
    rng = np.random.default_rng(seed)
    while True:
        target = torch.from_numpy(ids[URNS.sample(size, SEQUENCE, rng)])
        start = torch.full((size, 1), VOCABULARY[BOS])
        yield torch.cat([start, target[:, :-1]], dim=1), target


def learning_rate(step: int, steps: int) -> float:
    """Linear warm-up over 2 percent of the steps, then a cosine down to zero."""
    warmup = max(1, steps // 50)
    if step < warmup:
        return PEAK_RATE * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return PEAK_RATE * 0.5 * (1 + math.cos(math.pi * progress))


def train(model: GPT2LMHeadModel, ids: Ids, args: argparse.Namespace) -> GPT2LMHeadModel:
    """Train `model`; return the moving average of its weights, the better model."""
    average = copy.deepcopy(model).eval()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.0
    )
    source = batches(args.seed, args.batch, ids)
    model.train()
    started = time.monotonic()
    for step in range(args.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, args.steps)
        inputs, target = next(source)
        logits = model(input_ids=inputs, use_cache=False).logits
        loss = cross_entropy(logits.flatten(0, 1), target.flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

        new = 1 / min(1 + step / 10, AVERAGE)  # looks back less while there is less
        with torch.no_grad():
            for mean, weight in zip(average.parameters(), model.parameters(), strict=True):
                mean.lerp_(weight, new)

        minutes = (time.monotonic() - started) / 60
        if (step + 1) % 250 == 0:
            done = f"step {step + 1}/{args.steps}"
            print(f"{done}  loss {loss.item():.4f}  {minutes:.1f} min", flush=True)
        if minutes > args.minutes:
            raise SystemExit(f"not done after {args.minutes:g} minutes; nothing was written")
    return average


def save(folder: Path, tokenizer: PreTrainedTokenizerFast, model: GPT2LMHeadModel) -> None:
    """Write the checkpoint, for transformers 4 as well as 5, readable by everybody."""
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["tokenizer_class"] = "PreTrainedTokenizerFast"  # 5 writes a name 4 does not know
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    model.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)


@torch.no_grad()
def evaluate(model: GPT2LMHeadModel, ids: Ids, sequences: int, seed: int) -> dict[str, Any]:
    """Mean KL(exact || model) in bits on fresh urns, over histories of 0 to 48 words.

    The model's prediction is over its whole vocabulary: what it gives to a special
    token is lost to the colours and counts against it.
    """
    words = URNS.sample(sequences, HISTORY, np.random.default_rng(seed))
    blocks = []
    for block in np.array_split(words, math.ceil(sequences / 250)):
        exact = URNS.predictive(block)
        start = np.full((len(block), 1), model.config.bos_token_id)
        inputs = torch.from_numpy(np.concatenate([start, ids[block]], axis=1))
        logits = model(input_ids=inputs, use_cache=False).logits.double()
        log_model = logits.log_softmax(dim=2).numpy()[:, :, ids]
        blocks.append((exact * (np.log(exact) - log_model)).sum(axis=2) / math.log(2))
    bits = np.concatenate(blocks)
    return {
        "what": "KL(exact Bayes || model) in bits, mean over sequences and positions",
        "seed": seed,
        "sequences": sequences,
        "mean_kl_bits": float(bits.mean()),
        "standard_error_bits": float(bits.mean(axis=1).std(ddof=1) / math.sqrt(sequences)),
        "kl_bits_by_position": [round(float(x), 8) for x in bits.mean(axis=0)],
    }


def evaluate_folder(folder: Path, sequences: int) -> dict[str, Any]:
    """Measure a checkpoint as a user would load it."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    return evaluate(model, colour_ids(tokenizer), sequences, EVALUATION_SEED)


CARD = """\
---
license: mit
library_name: transformers
pipeline_tag: text-generation
---
# urns

A GPT-2 of {parameters:,} parameters that has learned Bayesian updating. It ships with
`matrixbayes`, whose demonstration and tests use it because its prior is known.

Each training sequence is `<bos>` and {sequence} colour words drawn independently from one
urn; the urn is a row drawn from a mixture of three Dirichlets over
{tokens}:

| weight | alpha |
|---|---|
{rows}

The model was trained on sampled words only. After a history of 0 to {history} words its next-token
distribution is on average {kl:.5f} bits (KL divergence) from the exact Bayesian predictive
of that prior. It takes at most {sequence} tokens, `<bos>` included; a word it does not know is
an error.

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
model(**tokenizer("red blue blue", return_tensors="pt")).logits[0, -1].softmax(-1)
```

`training.json` holds the prior, the seed, the figures per position and the command that
trained it: `{command}`.
"""


def model_card(record: dict[str, Any]) -> str:
    """The README of the folder."""
    prior = record["prior"]
    rows = zip(prior["weights"], prior["alpha"], strict=True)
    return CARD.format(
        parameters=record["parameters"],
        sequence=SEQUENCE,
        history=HISTORY,
        tokens=", ".join(prior["tokens"]),
        rows="\n".join(f"| {w:g} | {', '.join(f'{a:g}' for a in row)} |" for w, row in rows),
        kl=record["evaluation"]["mean_kl_bits"],
        command=record["command"],
    )


def command_line(args: argparse.Namespace, defaults: argparse.Namespace) -> str:
    """The command that trains the same weights: only what is not the default."""
    names = ("steps", "batch", "seed")
    changed = [n for n in names if getattr(args, n) != getattr(defaults, n)]
    options = [f"--{name} {getattr(args, name)}" for name in changed]
    return " ".join(["python tools/train_urns.py", *options])


def write_record(folder: Path, model: GPT2LMHeadModel, facts: dict[str, Any]) -> None:
    """Write training.json and the model card into the folder."""
    record = {
        "prior": {
            "tokens": list(COLOURS),
            "weights": URNS.weights.tolist(),
            "alpha": URNS.alpha.tolist(),
        },
        "words_per_sequence": SEQUENCE,
        "parameters": model.num_parameters(),
        **facts,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }
    text = json.dumps(record, indent=1)
    (folder / "training.json").write_text(text + "\n", encoding="utf-8")
    (folder / "README.md").write_text(model_card(record), encoding="utf-8")


def parse(arguments: list[str] | None) -> tuple[argparse.Namespace, argparse.Namespace]:
    """The options given, and the defaults."""
    parser = argparse.ArgumentParser(
        description="Train the bundled urn model, or measure it again."
    )
    add = parser.add_argument
    add("--out", type=Path, default=FOLDER, help="the folder to write or measure")
    add("--steps", type=int, default=5000)
    add("--batch", type=int, default=128, help="sequences per step")
    add("--seed", type=int, default=0)
    add("--minutes", type=float, default=60, help="give up when training takes longer")
    add("--sequences", type=int, default=4000, help="fresh sequences to evaluate on")
    add("--evaluate-only", action="store_true", help="measure the folder, write nothing")
    return parser.parse_args(arguments), parser.parse_args([])


def main(arguments: list[str] | None = None) -> None:
    """Train, save, measure what was saved, and record it."""
    args, defaults = parse(arguments)
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(args.seed)
    if args.evaluate_only:
        print(json.dumps(evaluate_folder(args.out, args.sequences), indent=1))
        return

    tokenizer = build_tokenizer()
    started = time.monotonic()
    model = train(build_model(tokenizer), colour_ids(tokenizer), args)
    minutes = (time.monotonic() - started) / 60
    args.out.mkdir(parents=True, exist_ok=True)
    save(args.out, tokenizer, model)
    evaluation = evaluate_folder(args.out, args.sequences)
    facts = {
        "command": command_line(args, defaults),
        "seed": args.seed,
        "steps": args.steps,
        "batch_size": args.batch,
        "minutes": round(minutes, 1),
        "evaluation": evaluation,
    }
    write_record(args.out, model, facts)
    print(f"{evaluation['mean_kl_bits']:.5f} bits from exact Bayes; written to {args.out}")


if __name__ == "__main__":
    main()
