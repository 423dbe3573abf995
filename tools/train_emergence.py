"""Train the bundled ladder of tiny language models: how Bayesian is a model of which size?

    python tools/train_emergence.py                      # train, measure, write the folder
    python tools/train_emergence.py --models 2k-0 28k-1  # these alone; the others stay
    python tools/train_emergence.py --evaluate-only      # measure that folder again
    python tools/train_emergence.py --quick --out ladder  # seconds, to see that it runs

A training sequence is a begin token and 64 tokens out of four.  Half of the sequences are
draws from an urn, a row with the prior Dirichlet(1, 1, 1, 1); the other half are Markov chains,
each row of whose transition matrix has the prior Dirichlet(1/2, 1/2, 1/2, 1/2).  Nothing says
which of the two a sequence is.  The best prediction weighs the two predictives

    (1 + n_v) / (4 + N)                        n: how often token v was seen
    (1/2 + n_uv) / (2 + n_u)                   n_u: how often it followed the last token u

by the evidence that the sequence so far gives for either; `matrixbayes.windtunnel.Mixture`
does, exactly.  So a model must count, count pairs, and weigh, all in context.

The ladder changes the width alone.  All its models have two layers: to look up what followed
the last token earlier takes one layer that tells every place which token came before it, and
another that finds the places where that was this token.  One wide model of a single layer
stands beside the ladder, to tell depth from size, and one that is trained four times as long, to
tell patience from both.  For a seed, all models of the ladder read the same sequences in the same
order, for the same number of steps.  The peak of the learning rate falls with the width; it was
chosen in a few short trials with one seed.  It matters: at 2.5 times the rate that it has here,
the widest model had not learnt to count pairs after 2,000 steps.  All of it takes less than an hour
of one core.

The models learn from sampled tokens alone, by cross-entropy.  The exact predictive is used only
to measure the result, as the mean of KL(exact || model) in bits over the 64 positions.  The
folder written holds one checkpoint per size and seed, with weights in half precision, and in
``training.json`` the figures (of the checkpoints as written) and what it takes to reach them.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel

from matrixbayes import DirichletMixture
from matrixbayes.windtunnel import MarkovChains, Mixture, Urns

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

FOLDER = Path(__file__).resolve().parents[1] / "matrixbayes" / "data" / "emergence"
V = 4
BOS = V
SEQUENCE = 64  # tokens per sequence; the last one is only ever a target
URN_ALPHA, CHAIN_ALPHA = 1.0, 0.5
AVERAGE = 100  # steps that the moving average of the weights looks back
DATA_SEED, EVALUATION_SEED = 20_260_101, 20_260_202
THREADS = 1  # sums, so last bits, depend on it

TASKS = {
    "urns": Urns(DirichletMixture([1.0], [[URN_ALPHA] * V])),
    "chains": MarkovChains(DirichletMixture([1.0], [[CHAIN_ALPHA] * V])),
}
MIXTURE = Mixture(tuple(TASKS.values()))


@dataclass(frozen=True)
class Size:
    """A rung: a GPT-2, the peak of its learning rate, for how many seeds, and how long."""

    width: int
    layers: int
    heads: int
    rate: float
    seeds: int
    times: int = 1  # the steps of the others


LADDER = {
    "2k": Size(8, 2, 1, 2e-2, 3),
    "8k": Size(16, 2, 2, 1e-2, 3),
    "28k": Size(32, 2, 2, 5e-3, 3),
    "105k": Size(64, 2, 4, 2.5e-3, 3),
    "406k": Size(128, 2, 4, 5e-4, 2),
    "55k-flat": Size(64, 1, 4, 2.5e-3, 2),
    "28k-long": Size(32, 2, 2, 5e-3, 1, 4),
}


def build_model(size: Size) -> GPT2LMHeadModel:
    """A GPT-2 without dropout, its initial weights wider where it is narrower."""
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=V + 1,
            n_positions=SEQUENCE,
            n_embd=size.width,
            n_layer=size.layers,
            n_head=size.heads,
            activation_function="relu",
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            initializer_range=0.4 / math.sqrt(size.width),
            bos_token_id=BOS,
            eos_token_id=None,
        )
    )


def begun(tokens: Ids) -> torch.Tensor:
    """What a model is given to predict tokens (n, length): a begin token and all but the last."""
    start = np.full((len(tokens), 1), BOS)
    return torch.from_numpy(np.concatenate([start, tokens[:, :-1]], axis=1))


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up over 2 percent of the steps, then a cosine down to zero."""
    warmup = max(1, steps // 50)
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return peak * 0.5 * (1 + math.cos(math.pi * progress))


def train(size: Size, seed: int, args: argparse.Namespace) -> tuple[GPT2LMHeadModel, float]:
    """The moving average of the weights, the better model, and its last training loss in bits."""
    torch.manual_seed(seed)
    model = build_model(size)
    average = copy.deepcopy(model).eval()
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.0)
    rng = np.random.default_rng([DATA_SEED, seed])  # the same for every size
    model.train()
    losses = []
    steps = args.steps * size.times
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, size.rate)
        tokens = MIXTURE.sample(args.batch, SEQUENCE, rng=rng)
        logits = model(input_ids=begun(tokens), use_cache=False).logits
        loss = cross_entropy(logits.flatten(0, 1), torch.from_numpy(tokens).flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item() / math.log(2))

        new = 1 / min(1 + step / 10, AVERAGE)  # looks back less while there is less
        with torch.no_grad():
            for mean, weight in zip(average.parameters(), model.parameters(), strict=True):
                mean.lerp_(weight, new)
        if (step + 1) % 250 == 0:
            recent = np.mean(losses[-250:])
            print(f"  step {step + 1}/{steps}  loss {recent:.4f} bits", flush=True)
    return average, float(np.mean(losses[-250:]))


def save(folder: Path, model: GPT2LMHeadModel) -> None:
    """Write a checkpoint: weights in half precision, which load in single."""
    copy.deepcopy(model).half().save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config.pop("torch_dtype", None)
    config["dtype"] = "float32"
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (folder / "model.safetensors").chmod(0o644)


def load(folder: Path) -> GPT2LMHeadModel:
    """A checkpoint as a user would load it."""
    return GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32).eval()


def predictor(model: GPT2LMHeadModel) -> Callable[[Ids], Floats]:
    """From tokens (n, length) to the model's log-probabilities of the four, (n, length, 4)."""

    @torch.no_grad()
    def log_probs(tokens: Ids) -> Floats:
        logits = model(input_ids=begun(tokens), use_cache=False).logits.double()
        return logits[:, :, :V].log_softmax(dim=2).numpy()

    return log_probs


def divergences(predict: Callable[[Ids], Floats], tokens: Ids) -> Floats:
    """KL(exact || predicted) in bits, (n, length)."""
    blocks = []
    for block in np.array_split(tokens, math.ceil(len(tokens) / 250)):
        exact = MIXTURE.log_predictive(block)
        blocks.append((np.exp(exact) * (exact - predict(block))).sum(axis=2) / math.log(2))
    return np.concatenate(blocks)


def evaluate(predict: Callable[[Ids], Floats], sequences: int) -> dict[str, Any]:
    """KL(exact || predicted) in bits on fresh sequences, half of them urns and half chains."""
    parts = {}
    for name, task in TASKS.items():
        tokens = task.sample(sequences // 2, SEQUENCE, rng=EVALUATION_SEED)
        bits = divergences(predict, tokens)
        error = bits.mean(axis=1).std(ddof=1) / math.sqrt(len(bits))
        parts[name] = {
            "mean_kl_bits": round(float(bits.mean()), 6),
            "standard_error": round(float(error), 6),
            "by_position": [round(float(x), 6) for x in bits.mean(axis=0)],
        }
    means = [part["mean_kl_bits"] for part in parts.values()]
    error = math.hypot(*(part["standard_error"] for part in parts.values())) / 2
    both = {"mean_kl_bits": round(float(np.mean(means)), 6), "standard_error": round(error, 6)}
    return both | parts


def baselines(sequences: int) -> dict[str, Any]:
    """The same measure for those who know one half of the task, or nothing."""
    even = np.log(np.full(V, 1 / V))
    return {
        "even": evaluate(lambda tokens: np.tile(even, (*tokens.shape, 1)), sequences),
        "urns alone": evaluate(TASKS["urns"].log_predictive, sequences),
        "chains alone": evaluate(TASKS["chains"].log_predictive, sequences),
    }


def facts(model: GPT2LMHeadModel) -> dict[str, Any]:
    """What a checkpoint is."""
    config = model.config
    return {
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "width": config.n_embd,
        "layers": config.n_layer,
        "heads": config.n_head,
    }


def write_record(args: argparse.Namespace, models: dict[str, dict[str, Any]]) -> None:
    """Write training.json, each row of numbers on one line."""
    record = {
        "command": command_line(args),
        "tokens": V,
        "begin_token": BOS,
        "length": SEQUENCE,
        "prior": {
            "weights": {"urns": 0.5, "chains": 0.5},
            "urn_alpha": [URN_ALPHA] * V,
            "chain_alpha": [CHAIN_ALPHA] * V,
        },
        "steps": args.steps,
        "batch_size": args.batch,
        "peak_rates": {name: size.rate for name, size in LADDER.items()},
        "data_seed": DATA_SEED,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "evaluation": {
            "what": "KL(exact Bayes || model) in bits, mean over sequences and positions",
            "seed": EVALUATION_SEED,
            "sequences": args.sequences,
        },
        "baselines": baselines(args.sequences),
        "models": {name: models[name] for name in names() if name in models},
    }
    text = json.dumps(record, indent=1)
    text = re.sub(r"\[[^][{}]*\]", lambda row: " ".join(row.group().split()), text)
    text = text.replace("[ ", "[").replace(" ]", "]")
    (args.out / "training.json").write_text(text + "\n", encoding="utf-8")


def kept(args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """What the folder's record says of its models, if they were trained as these will be."""
    try:
        record = json.loads((args.out / "training.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return dict(record["models"]) if record["command"] == command_line(args) else {}


def names() -> list[str]:
    """All checkpoints, one seed after another: a run that is cut short has every size."""
    most = max(size.seeds for size in LADDER.values())
    return [
        f"{n}-{seed}" for seed in range(most) for n, size in LADDER.items() if seed < size.seeds
    ]


def command_line(args: argparse.Namespace) -> str:
    """The command that trains the same weights: only what is not the default."""
    defaults = parse([])
    changed = [n for n in ("steps", "batch") if getattr(args, n) != getattr(defaults, n)]
    options = [f"--{name} {getattr(args, name)}" for name in changed]
    return " ".join(["python tools/train_emergence.py", *options])


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description="Train the bundled ladder, or measure it again.")
    add = parser.add_argument
    add("--out", type=Path, default=FOLDER, help="the folder to write or measure")
    add("--models", nargs="+", metavar="SIZE-SEED", help="train these alone")
    add("--steps", type=int, default=5000)
    add("--batch", type=int, default=32, help="sequences per step")
    add("--sequences", type=int, default=2000, help="fresh sequences to evaluate on")
    add("--quick", action="store_true", help="a few steps of one seed: does it run?")
    add("--evaluate-only", action="store_true", help="measure the folder, write nothing")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Train, save, measure what was saved, and record it, one model after another."""
    args = parse(arguments)
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    chosen = args.models or names()
    if args.quick:
        chosen = [name for name in chosen if name.endswith("-0")]
        args.steps, args.batch, args.sequences = 4, 8, 20
    unknown = set(chosen) - set(names())
    if unknown:
        raise SystemExit(f"no such model: {', '.join(sorted(unknown))}")
    if args.evaluate_only:
        for name in chosen:
            tell(name, evaluate(predictor(load(args.out / name)), args.sequences))
        return

    models = kept(args)
    for name in chosen:
        size, _, seed = name.rpartition("-")
        started = time.monotonic()
        model, loss = train(LADDER[size], int(seed), args)
        minutes = (time.monotonic() - started) / 60
        save(args.out / name, model)
        saved = load(args.out / name)
        models[name] = {
            **facts(saved),
            "seed": int(seed),
            "steps": args.steps * LADDER[size].times,
            "training_loss_bits": round(loss, 5),
            **evaluate(predictor(saved), args.sequences),
        }
        tell(f"{name} ({minutes:.1f} min)", models[name])
        write_record(args, models)


def tell(name: str, found: dict[str, Any]) -> None:
    """One line on a model."""
    each = ", ".join(f"{task} {found[task]['mean_kl_bits']:.4f}" for task in TASKS)
    mean, error = found["mean_kl_bits"], found["standard_error"]
    print(f"{name}: {mean:.4f} +- {error:.4f} bits from exact Bayes ({each})", flush=True)


if __name__ == "__main__":
    main()
