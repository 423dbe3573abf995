"""A loaded model run over prompts: its next-token rows."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from .._base.arguments import whole
from .._base.progress import LOG, bar, begin
from ..rows import NextTokenRows
from .answers import Columns, Other, Vocab, columns_after
from .chains import by_chain_rule
from .forward import Forward
from .kept import Kept, kept_sizes
from .layers.layer_rows import LayerRows
from .layers.lens import Layers, Lens
from .layers.run import by_layer
from .memory import check_memory
from .prompts import Positions, as_list, encode_prompts, first_of_equals
from .runs.batches import run_batches
from .runs.cache import Cache, check_restored

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@overload
def collect(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    prompts: Sequence[Any],
    *,
    positions: Positions = ...,
    vocab: Vocab | None = ...,
    other: Other = ...,
    hidden: bool = ...,
    batch_size: int = ...,
    progress: bool | None = ...,
    max_memory: int | None = ...,
    cache_dir: str | os.PathLike[str] | None = ...,
    layers: None = None,
) -> NextTokenRows: ...
@overload
def collect(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    prompts: Sequence[Any],
    *,
    positions: Positions = ...,
    vocab: Vocab | None = ...,
    other: Other = ...,
    hidden: bool = ...,
    batch_size: int = ...,
    progress: bool | None = ...,
    max_memory: int | None = ...,
    cache_dir: str | os.PathLike[str] | None = ...,
    layers: Layers,
) -> LayerRows: ...
def collect(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    prompts: Sequence[Any],
    *,
    positions: Positions = "last",
    vocab: Vocab | None = None,
    other: Other = "keep",
    hidden: bool = False,
    batch_size: int = 8,
    progress: bool | None = None,
    max_memory: int | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    layers: Layers | None = None,
) -> NextTokenRows | LayerRows:
    """Run a causal language model over prompts and keep its next-token distributions.

    Parameters
    ----------
    model
        A loaded ``AutoModelForCausalLM``, on whatever device and in whatever type, in
        evaluation mode (a model in training mode is refused, since dropout would make the
        rows random).
    tokenizer
        Its tokenizer.  It is called as it is: whether a BOS token goes in front is its
        decision.  Its padding side and pad token do not matter.  None if all prompts are token ids.
    prompts
        Each a string; a list of token ids; or a pair (context, continuation) of strings, which
        is encoded as a whole and then split where the continuation's first token starts.  Or what
        the tokenizer returned for texts: the ids that its attention mask keeps.
    positions : {"last", "all", "continuation"} or sequence of int
        Which rows are wanted.  Position p is the row after token p of the prompt (counted
        from 0, special tokens included): the distribution of token p + 1.

        - "last": the row after the whole prompt.
        - "all": the row after each token.
        - "continuation": of a pair, the rows that predict the tokens of the continuation.
        - whole numbers: the same for every prompt; or one sequence of them per prompt.
          Negative ones count from the end.
    vocab : mapping, or sequence of str or int, optional
        What the columns are.  By default every token of the vocabulary, under the
        vocabulary's own names; ids that the model has and the tokenizer does not name are summed
        into one last column ``<unused>``.  A mapping ``{"yes": [" yes", " Yes"], ...}`` gives
        a column per answer, the sum of its spellings; a list gives a column per
        spelling.  A spelling is text, and counts as the token that the text of every prompt
        holds where it follows, which need not be the one that it is alone; or, where it follows
        as several tokens, as those by the chain rule, with more passes of the model.  Or it is a
        token id, a tuple of the ids of several tokens in a row, or the name of a piece of the
        vocabulary (``"Ġyes"``, ``"▁yes"``, ``"<0x0A>"``) that is no single token as text.
    other : {"keep", "renormalize"}
        What becomes of the tokens that no answer has: they are summed into a last column
        ``<other>``; or they are dropped and the answers renormalized, which makes the rows
        conditional on one of the answers coming next.
    hidden : bool
        Keep the hidden state at each row too: exactly what goes into the output embeddings, so that
        ``head_of(model, norm=False)`` of it gives the logits.
    batch_size : int
        The most prompts to run at once; fewer where their logits would be large.
    progress : bool, optional
        Show a progress bar: True, False, or None for one that shows only in a terminal or notebook
        and after two seconds.
    max_memory : int, optional
        The most bytes that the rows may take; by default what the machine has free.
    cache_dir : path, optional
        A folder for rows as they are finished, every 64 MB or 10 seconds.  A run that was stopped,
        however it was, goes on from there when it is called again, and its rows are to the last bit
        those of a run that was not.  Rows are found by model (class, configuration, a sample of
        each weight), columns and prompt: of a changed list of prompts those that are there
        already are not run again.  What is there of other models and columns does no harm.
    layers : "all", int or sequence of int, optional
        At which layers: the rows that final norm and head make of what a layer gives.  0 is what
        enters the first layer; -1 is the last one, whose rows are the model's own.

    Returns
    -------
    NextTokenRows, or LayerRows with `layers`
        In the order of the prompts, and within a prompt of its positions.  float32 (float64 if the
        model computes in that), with the contexts in ``input_ids``.  ``meta`` has the number of
        the prompt and the position of each row, the model's name and type, the ids
        of each answer, and the probability that went into ``<other>`` or ``<unused>``.

    Raises
    ------
    ValueError, TypeError
        A prompt is empty, too long or begins with BOS twice; after a prompt no spelling of an
        answer is what the text holds, or another token than after another prompt; a spelling
        belongs to two answers; the model gave NaN; it does not say any more what `cache_dir` holds
        of it (its hooks or adapters are others).  The message names the prompt or spelling and
        says what to do.  Or the model is no causal one: its rows change with what follows them.
    MemoryError
        The rows would not fit, which is seen before the model runs; or the model has no memory for
        a single prompt.  Where it has none for a batch, the batch is halved, with a warning.

    Warns
    -----
    RuntimeWarning
        A spelling counts as another token than it is by itself.

    See Also
    --------
    preflight : find such trouble, and measure the effect of batching, first.

    Notes
    -----
    A prompt's rows do not depend on its batch but for rounding: padding is on the right,
    under an attention mask.  Equal prompts are read once: their rows are equal to the last bit.
    Only the wanted positions go through the language-model head. The log-softmax is computed in
    double precision from the model's own logits (bfloat16 too).  From CUDA these come in the
    model's own type, through pinned memory, while the next batch is computed.

    Where an answer of several tokens begins with another answer, that one has what does not go on
    as the longer.  Only the tokens that the tokenizer itself makes of a text are counted, no other
    way to cut it.  Of very many prompts the ends of a sample are looked at, all different ones
    first.

    Examples
    --------
    >>> from importlib.resources import files
    >>> from transformers import AutoModelForCausalLM, AutoTokenizer
    >>> import matrixbayes as mb
    >>> urns = str(files("matrixbayes") / "data" / "urns")
    >>> model = AutoModelForCausalLM.from_pretrained(urns)
    >>> tokenizer = AutoTokenizer.from_pretrained(urns)
    >>> rows = mb.collect(model, tokenizer, ["red red", "black white black"],
    ...                   vocab={"warm": ["red", "orange", "yellow"], "black": "black"})
    >>> rows.tokens, rows.shape
    (('warm', 'black', '<other>'), (2, 3))
    >>> rows[:, ...].probs().argmax(axis=1)
    array([0, 2])
    >>> layers = mb.collect(model, tokenizer, ["red red", "black white black"], layers="all")
    >>> layers.divergence()[-1]  # the rows of the last layer are the model's own
    array([0., 0.])
    """
    batch_size = whole(batch_size, "batch_size", 1)
    prompts = as_list(prompts)
    if layers is None:
        forward = Forward(model, hidden=hidden)
    elif cache_dir is None:
        forward = Lens(model, layers, hidden=hidden)
    else:
        raise ValueError("rows of layers are not kept in cache_dir: leave out one of the two")
    model = forward.model
    encoded = encode_prompts(
        tokenizer, prompts, positions, n_ids=forward.n_ids, max_length=forward.max_length
    )
    numbered = dict(enumerate(encoded))
    columns = columns_after(tokenizer, prompts, numbered, positions, vocab, other, forward.width)
    for note in columns.notes:
        warnings.warn(note, RuntimeWarning, stacklevel=2)
    finish = begin("collect", "%d prompts, %d columns", len(encoded), columns.width)
    if columns.chains is not None:
        if layers is not None:
            raise ValueError(
                "an answer here is several tokens, which takes several passes of the model: with "
                "layers, answers are single tokens"
            )

        def run(prompts: list[Any], places: Any, groups: Any, states: bool) -> NextTokenRows:
            own: dict[str, Any] = {"positions": places, "vocab": groups, "hidden": states}
            own |= {"batch_size": batch_size, "progress": progress, "max_memory": max_memory}
            own["cache_dir"] = cache_dir
            found: NextTokenRows = collect(model, None, prompts, **own)
            return found

        limit = forward.max_length
        rows = by_chain_rule(run, encoded, columns, hidden=hidden, max_length=limit)
        rows.meta.update(_meta(model, tokenizer, positions, columns, forward))
        finish("%d rows", len(rows))
        return rows
    again = partial(columns_after, tokenizer, prompts, numbered, positions, vocab, other)
    if isinstance(forward, Lens):
        meta = partial(_meta, model, tokenizer, positions, forward=forward)
        limits: dict[str, Any] = {"progress": progress, "max_memory": max_memory}
        lens = by_layer(forward, encoded, columns, again, meta, batch_size=batch_size, **limits)
        finish("rows of %d layers", len(lens))
        return lens
    check_memory(*kept_sizes(encoded, columns, forward), max_memory, progress is False)
    kept = Kept(encoded, columns)
    first = first_of_equals(encoded)
    once, times = (a.tolist() for a in np.unique(first, return_counts=True))
    count = dict(zip(once, times, strict=True))
    read = [encoded[i] for i in once]
    with (
        bar(len(encoded), progress, name="collect", unit="prompt") as advance,
        Cache(cache_dir, forward, kept, hidden=hidden) as cache,
    ):
        done = cache.restore(once)
        if cache.width not in (None, columns.width):
            kept.columns = again(cache.width)
        check_restored(forward, kept, done)
        advance(sum(count[i] for i in done))
        for numbers, batch in run_batches(forward, read, once, batch_size, done):
            if batch.width != kept.columns.width:  # the logits have the last word
                if done:
                    raise ValueError(
                        f"cache_dir: its rows are of {kept.columns.width} ids, not {batch.width}"
                    )
                kept.columns = again(batch.width)
            kept.add(numbers, batch)
            cache.add(numbers)
            advance(sum(count[i] for i in numbers))
            LOG.debug("collect, a batch of %d prompts", len(numbers))
            del batch  # not beside what the next one needs
    kept.repeat(first)
    rows = kept.rows(_meta(model, tokenizer, positions, kept.columns, forward))
    finish("%d rows, %d prompts from the cache", len(rows), len(done))
    return rows


def _meta(
    model: Any, tokenizer: Any, positions: Positions, columns: Columns, forward: Forward
) -> dict[str, Any]:
    """Where the rows come from."""
    import torch
    import transformers

    return {
        "source": "matrixbayes.collect",
        "model": getattr(model, "name_or_path", "") or type(model).__name__,
        "model_class": type(model).__name__,
        "tokenizer": getattr(tokenizer, "name_or_path", None),
        "dtype": forward.dtype,
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "positions": positions if isinstance(positions, str) else "given",
        "groups": columns.members or None,
        "linear_head": forward.linear_head,
        **({"head": _head_meta(forward)} if forward.hidden else {}),
    }


def _head_meta(forward: Forward) -> dict[str, Any]:
    """What lies between the states that were kept and the logits."""
    if forward.head is None:
        return {"kind": None, "refusal": forward.head_refusal}
    return forward.head.meta()
