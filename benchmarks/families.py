"""The families of `elicit_prior` on a real model's own continuations.

    python benchmarks/families.py FOLDER [--texts 60] [--length 40] [--prompt 16]

FOLDER holds a causal language model.  It writes `texts` continuations, each of `prompt` tokens and
then `length` more; from there on its tokens are lumped into a few classes, its commonest tokens and
the rest, and a history is what the classes were since the prompt.  What a family says of the next
class is held against the model, texts being groups.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import numpy as np

import matrixbayes as mb

CLASSES = 4  # commonest tokens that stand alone


def written(folder: str, n: int, prompt: int, length: int) -> tuple[Any, Any]:
    """Tokens (n, prompt + length) and the model's log-probabilities after the prompt on."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    begin = torch.full((n, 1), int(model.config.bos_token_id))
    with torch.no_grad():
        tokens = model.generate(
            begin,
            attention_mask=torch.ones_like(begin),
            do_sample=True,
            top_k=0,
            min_new_tokens=prompt + length,
            max_new_tokens=prompt + length,
        )
        logits = model(tokens).logits[:, prompt:-1]
    return tokens[:, prompt + 1 :].numpy(), torch.log_softmax(logits, -1).numpy()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--texts", type=int, default=60)
    parser.add_argument("--length", type=int, default=40)
    parser.add_argument("--prompt", type=int, default=16)
    options = parser.parse_args()
    tokens, log_probs = written(options.folder, options.texts, options.prompt, options.length)
    p = np.exp(log_probs.astype(np.float64))
    common = np.sort(np.argsort(-p.mean(axis=(0, 1)))[:CLASSES])
    lumped = np.concatenate([p[..., common], 1.0 - p[..., common].sum(-1, keepdims=True)], -1)
    known = np.isin(tokens, common)
    classes = np.where(known, np.searchsorted(common, tokens), CLASSES)
    histories = [row[:t].tolist() for row in classes for t in range(options.length)]
    rows = np.maximum(lumped.reshape(len(histories), -1), 1e-12)
    rows /= rows.sum(axis=1, keepdims=True)
    groups = np.repeat(np.arange(options.texts), options.length)
    begin = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found = mb.elicit_prior(histories, rows, kind="probs", groups=groups, n_jobs=1, rng=0)
    print(f"{len(histories)} histories, {CLASSES + 1} classes: {time.process_time() - begin:.0f} s")
    print(found)
    print(found.comparison)


if __name__ == "__main__":
    main()
