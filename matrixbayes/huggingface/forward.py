"""A causal language model run over prompts: the logits of the wanted positions and no others.

Contents
    Batch           what one batch gave
    Forward         runs batches; knows the model's sizes and the cheapest right way
    in_words        which prompts those of a batch are, in words
    batches_of      prompts of like length together
    takes           whether a model's forward pass has an argument

Prompts are padded here, on the right and under an attention mask, so neither the
tokenizer's padding side nor its pad token matters: with a causal model nothing
to the left of a position sees what is to its right.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._base.asked import asked
from .._core import log_probs
from ..rows.ingest import as_floats
from .checks import check_model, is_plain, learned_prompt, try_out
from .heads import Head
from .inside.faults import fault_of
from .inside.outputs import logits_of
from .inside.probe import agree
from .inside.taps import Call, run_of, tapped, unwrapped
from .memory import is_out_of_memory
from .prompts import Prompt

if TYPE_CHECKING:
    import torch


LOGITS_AT_ONCE = 256 << 20  # bytes of logits that one batch may need, where it has a choice
LENGTHS = ("max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len")


@dataclass(frozen=True)
class Batch:
    """What one batch gave, prompt by prompt: logits (n, width), hidden states (n, d), places."""

    logits: Any
    hidden: Any
    where: list[tuple[int, int]]  # (number of the prompt, position)
    why: Callable[[int], str] | None = None  # from the number of a prompt to what is wrong with it

    @property
    def width(self) -> int:
        """The width of the logits."""
        return int(self.logits.shape[-1])

    def log_probs(self) -> NDArray[np.floating]:
        """Log-probabilities (n, width); an error names the prompt and the position."""
        rows, bfloat16 = as_floats(self.logits)
        try:
            return log_probs(rows, kind="logits", bfloat16=bfloat16)
        except ValueError:
            for row, (prompt, position) in zip(rows, self.where, strict=True):
                try:
                    log_probs(row[None], kind="logits", bfloat16=bfloat16)
                except ValueError as error:
                    reason = str(error).partition(":")[0].removeprefix("row 0").lstrip(", ")
                    why = "look for damaged weights" if self.why is None else self.why(prompt)
                    raise ValueError(
                        f"the model's logits for prompt {prompt} after position {position} are no "
                        f"distribution: {reason}; {why}"
                    ) from error
            raise


class Forward:
    """Runs a model over batches of prompts.

    Parameters
    ----------
    model
        A loaded causal language model; it is never changed or moved.
    hidden
        Keep the last hidden state of each position too.

    Attributes
    ----------
    width
        The width of the logits, as far as the head says.
    n_virtual
        How many positions of the logits stand before those of the text.
    n_ids
        How many ids the model has an embedding for.
    n_hidden
        The size of a hidden state.
    max_length
        How many tokens it takes; None if it does not say.
    route
        How the logits of single positions are had: "logits_to_keep" where the model
        offers that; "head", where its output embeddings can be given the states of
        these positions only; otherwise "full", all logits of a batch.
    """

    def __init__(self, model: Any, *, hidden: bool = False, route: str | None = None) -> None:
        model = unwrapped(model)
        check_model(model)
        self.model = model
        self.hidden = hidden
        config = getattr(model.config, "get_text_config", lambda: model.config)()
        embedding = model.get_input_embeddings().weight
        self.n_ids, self.n_hidden = map(int, embedding.shape)
        lengths = [getattr(config, name, None) for name in LENGTHS]
        longest = next((n for n in lengths if isinstance(n, int) and n > 0), None)
        self.max_length = None if longest is None else longest - learned_prompt(model)
        self.device = "cpu" if embedding.device.type == "meta" else embedding.device
        self.dtype = str(embedding.dtype).removeprefix("torch.")
        self.options = {"use_cache": False} if takes(model, "use_cache") else {}
        self.route = "full"
        weight: Any = getattr(model.get_output_embeddings(), "weight", None)
        self.width, self.n_virtual = len(weight) if hasattr(weight, "shape") else 0, 0
        if self.width == 0 or not is_plain(model):
            trial = try_out(model, self._all, self.max_length)
            self.width, self.n_virtual = trial.width, trial.n_virtual
        self._head_is_checked = False
        self.route = route or self._route()

    def __call__(self, prompts: Sequence[Prompt], numbers: Sequence[int]) -> Batch:
        """Run one batch; `numbers` are what the prompts are called."""
        length = max(len(prompt) for prompt in prompts)
        ids = np.zeros((len(prompts), length), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, : len(prompt)] = prompt.ids
            mask[row, : len(prompt)] = 1
        rows = np.repeat(np.arange(len(prompts)), [len(p.positions) for p in prompts])
        columns = np.concatenate([prompt.positions for prompt in prompts])
        with self.running(len(prompts), length):
            logits, hidden = asked(
                in_words(numbers), self._run, *map(self.tensor, (ids, mask, rows, columns))
            )
        where = [(numbers[int(r)], int(c)) for r, c in zip(rows, columns, strict=True)]
        read = dict(zip(numbers, prompts, strict=True))

        def why(number: int) -> str:
            try:
                return fault_of(self.model, lambda: self._all(read[number].ids[None]))
            except Exception as error:
                return f"run by itself it raises {type(error).__name__}: {error}"

        return Batch(logits, hidden, where, why)

    @contextmanager
    def running(self, n: int, length: int) -> Iterator[None]:
        """Without gradients, and with an error that says what to do about memory."""
        import torch

        try:
            with torch.no_grad():  # inference_mode would mark buffers that a model caches
                yield
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise MemoryError(
                f"no memory on {self.device} for {n} prompts of up to {length} tokens: "
                "lower batch_size"
            ) from error

    def tensor(self, array: NDArray[np.integer[Any]]) -> torch.Tensor:
        import torch

        return torch.from_numpy(np.asarray(array, dtype=np.int64)).to(self.device)

    # -- the head -------------------------------------------------------------------

    @property
    def head(self) -> Head | None:
        """What lies between the states that are kept and the logits; None if it is no `Head`."""
        return self._known_head[0]

    @property
    def head_refusal(self) -> str | None:
        """Why there is none, in a sentence."""
        return self._known_head[1]

    @property
    def linear_head(self) -> bool | None:
        """Whether the output embeddings of a state are its logits; None if nobody asked yet."""
        if "_known_head" not in vars(self):
            return None
        return self.head is not None and self.head.kind == "linear"

    @cached_property
    def _known_head(self) -> tuple[Head | None, str | None]:
        try:
            return Head(self.model), None
        except ValueError as error:
            return None, str(error)

    # -- how ------------------------------------------------------------------------

    def _run(
        self, ids: torch.Tensor, mask: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Logits, and the states that enter the output embeddings, at (rows, columns)."""
        columns = columns + self.n_virtual
        if self.route == "head":
            logits, states = self._at_head(ids, mask, rows, columns)
            return logits, self._checked(states, logits) if self.hidden else None
        keep, index = {}, columns
        if self.route == "logits_to_keep":
            kept, index = columns.unique(return_inverse=True)
            keep = {"logits_to_keep": kept}
        with self._tapped() if self.hidden else nullcontext([]) as calls:
            found = self._full(ids, mask, **keep)
        if found.ndim != 3 or len(found) != len(ids):
            raise ValueError(
                f"{type(self.model).__name__} gives logits of shape {tuple(found.shape)} for "
                f"{len(ids)} texts: it has no row for each token"
            )
        if keep and found.shape[1] != len(kept):
            raise RuntimeError(
                f"{type(self.model).__name__} gave logits of {found.shape[1]} positions "
                f"where logits_to_keep asked for {len(kept)}"
            )
        logits = _at(found, rows, index)
        if not self.hidden:
            return logits, None
        entered = calls[-1].entered if calls else None
        if entered is None or entered.shape[:-1] != found.shape[:-1]:
            raise ValueError(
                f"{type(self.model).__name__} does not give its output embeddings a state for each "
                "row of its logits: collect without hidden=True"
            )
        return logits, self._checked(_at(entered, rows, index), logits)

    def _all(self, ids: NDArray[np.int64]) -> torch.Tensor:
        """The logits (n, length, width) of texts (n, length)."""
        with self.running(*ids.shape):
            return self._full(self.tensor(ids), self.tensor(np.ones_like(ids)))

    def _full(self, ids: torch.Tensor, mask: torch.Tensor, **options: Any) -> torch.Tensor:
        """The logits of the model's own forward pass."""
        output = run_of(self.model)(
            input_ids=ids, attention_mask=mask, return_dict=True, **self.options, **options
        )
        return logits_of(self.model, output)

    def _tapped(self, enter: Any = None) -> AbstractContextManager[list[Call]]:
        return tapped(self.model.get_output_embeddings(), enter=enter)

    def _at_head(
        self, ids: torch.Tensor, mask: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The same, where the output embeddings are given the states at these places only."""
        with self._tapped(lambda states: _at(states, rows, columns)[None]) as calls:
            found = self._full(ids, mask)
        if found.ndim != 3 or found.shape[1] != len(rows):
            raise ValueError(
                f"{type(self.model).__name__} gives logits of shape {tuple(found.shape)} for "
                f"{len(rows)} states: it has no row for each token"
            )
        logits = found[0]
        states = calls[-1].entered
        assert states is not None
        return logits, states[0]

    def _checked(self, states: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """The states; their head is held against the model's own logits once."""
        if self.head is not None and not self._head_is_checked:
            self._head_is_checked = True
            refusal = self.head.refusal(states[:1], logits[:1])
            if refusal is not None:
                self._known_head = None, refusal
        return states

    def _route(self) -> str:
        """The cheapest way that gives this model's logits."""
        import torch

        if takes(self.model, "logits_to_keep"):
            return "logits_to_keep"
        self.route = "head"
        ids = self.tensor(np.arange(2)[None] % self.n_ids)
        mask, places = torch.ones_like(ids), self.tensor(np.arange(2))
        try:
            with torch.no_grad():
                whole = self._full(ids, mask)[0]
                cut, _ = self._at_head(ids, mask, 0 * places, places.flip(0))
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            RuntimeError,
            TypeError,
            ValueError,
        ):
            return "full"
        return "head" if agree(cut.flip(0), whole) else "full"


def in_words(numbers: Sequence[int]) -> str:
    """The prompts of a batch, in words."""
    return f"prompt {numbers[0]}" if len(numbers) == 1 else f"prompts {list(numbers)}"


def _at(values: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Values (batch, length, n) at places (rows, columns), wherever they are."""
    return values[rows.to(values.device), columns.to(values.device)]


def batches_of(
    prompts: Sequence[Prompt], batch_size: int, width: int, route: str
) -> list[list[int]]:
    """The numbers of the prompts of each batch: like lengths together, the longest first.

    A batch has at most `batch_size` prompts, and fewer where its logits would fill more than a
    set amount of memory.
    """
    order = sorted(range(len(prompts)), key=lambda i: (-len(prompts[i]), i))
    batches: list[list[int]] = []
    kept: set[int] = set()
    for i in order:
        own = set(prompts[i].positions.tolist()) if route != "full" else set(range(len(prompts[i])))
        size = len(batches[-1]) + 1 if batches else 0
        bytes_needed = 4 * width * size * len(kept | own)
        if not batches or size > batch_size or bytes_needed > LOGITS_AT_ONCE:
            batches.append([])
            kept = set()
        batches[-1].append(i)
        kept |= own
    return batches


def takes(model: Any, name: str) -> bool:
    """Whether a model's forward pass has the argument `name`; adapters pass on what they get."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return name in inspect.signature(inner.forward).parameters
