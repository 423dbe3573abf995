"""What a model does around its output embeddings, measured by running it on four tokens.

Contents
    probe           runs the model: what entered the output embeddings, what left them, the logits
    agree           whether logits are the same up to rounding
    product_type    how exact float32 is where matrices are multiplied
    tail_of         what becomes of the scores that leave them: a scale, an offset, a cap
    chain_of        what lies between the last layer and them

The scores are replaced by others, known and large, so that a scale or a cap is read off as it is
and not off the few numbers that one text happens to give.  The configuration's own numbers are
taken where they say the same.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .outputs import logits_of
from .taps import Call, evaluating, first_tensor, tapped, watched

if TYPE_CHECKING:
    import torch

IDS = 4  # tokens that the model is tried out on
DEPTH = 8  # modules that may lie between the last layer and the output embeddings


@dataclass(frozen=True)
class Probe:
    """The model on a few tokens: all it gave (tokens, width), and the calls of its modules."""

    states: torch.Tensor
    scores: torch.Tensor
    logits: torch.Tensor
    calls: list[Call]
    options: dict[str, Any]


@dataclass(frozen=True)
class Tail:
    """logits = cap tanh((scale scores + offset) / cap), without a cap the inner part, of the first
    `width` scores: some models have more for the sake of round sizes."""

    scale: float
    cap: float | None
    offset: torch.Tensor | None

    width: int
    dtype: torch.dtype  # of the logits

    def __call__(self, scores: torch.Tensor) -> torch.Tensor:
        """The logits of scores (..., V)."""
        import torch

        scores = scores[..., : self.width].to(self.dtype)
        found = scores if self.scale == 1.0 else scores * self.scale
        if self.offset is not None:
            found = found + self.offset.to(found.device, found.dtype)
        return found if self.cap is None else torch.tanh(found / self.cap) * self.cap


@dataclass(frozen=True)
class Chain:
    """Modules, and factors between them, that lead to the output embeddings.

    `last` is the one that gives the scores: the output embeddings, or what they are part of.
    `whole` says whether what goes in is what the last layer, `end`, gives.
    """

    links: tuple[Any, ...]
    last: Any
    whole: bool
    first_dtype: torch.dtype  # of what goes into the first link, and into the last
    last_dtype: torch.dtype
    end: Any = None  # that last layer


# ---------------------------------------------------------------------------
# Running
# ---------------------------------------------------------------------------


def probe(model: Any, module: Any) -> Probe:
    """Run a model on a few tokens; ValueError where its output embeddings are not what it uses."""
    ids, options = _tokens(model)
    with watched(getattr(model, "_orig_mod", model)) as calls:
        logits = _logits(model, ids, options)
    name = type(model).__name__
    own = [call for call in calls if call.module is module]
    if len(own) != 1 or own[0].entered is None or own[0].left is None:
        raise ValueError(
            f"{name} calls its output embeddings {len(own)} times in a forward pass: what its "
            "logits are made of is not known"
        )
    states, scores = own[0].entered, own[0].left
    alike = states.shape[:-1] == scores.shape[:-1] == logits.shape[:-1]
    if not alike or scores.shape[-1] < logits.shape[-1]:
        raise ValueError(
            f"the output embeddings of {name} give scores of shape {tuple(scores.shape)} and the "
            f"model logits of shape {tuple(logits.shape)}: what lies between is not known"
        )
    return Probe(states, scores, logits, calls, options)


def options_of(model: Any) -> dict[str, Any]:
    """The options of a plain forward pass."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    taken = inspect.signature(getattr(inner, "_orig_mod", inner).forward).parameters
    return {"use_cache": False} if "use_cache" in taken else {}


def _tokens(model: Any) -> tuple[torch.Tensor, dict[str, Any]]:
    """Token ids (1, 4) where the model wants them, and the options of a plain forward pass."""
    import torch

    embedding = model.get_input_embeddings().weight
    weight = embedding if isinstance(embedding, torch.Tensor) else next(model.parameters())
    device = "cpu" if weight.device.type == "meta" else weight.device
    ids = torch.arange(IDS, device=device)[None] % int(weight.shape[0])
    return ids, options_of(model)


def _logits(model: Any, ids: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
    """The model's own logits (1, tokens, V)."""
    import torch

    mask = torch.ones_like(ids)
    inner = getattr(model, "_orig_mod", model)  # `forward`: whoever counts calls counts their own
    with torch.no_grad(), evaluating(model):
        try:
            output = inner.forward(input_ids=ids, attention_mask=mask, return_dict=True, **options)
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError) as error:
            raise ValueError(
                f"{type(model).__name__} does not run on {ids.shape[1]} tokens, so what its logits "
                f"are made of is not known: {error}"
            ) from error
    return logits_of(model, output)


# ---------------------------------------------------------------------------
# Behind the output embeddings
# ---------------------------------------------------------------------------


def tail_of(model: Any, module: Any, seen: Probe) -> Tail:
    """What becomes of scores; ValueError where it is no scale, offset or tanh cap."""
    import torch

    name = type(model).__name__
    ids, options = _tokens(model)
    scores = _trial(seen.scores)
    with tapped(module, leave=lambda old: scores.to(old.device, old.dtype)) as calls:
        logits = _logits(model, ids, options)[0]
    width = seen.logits.shape[-1]
    y = scores[0, :, :width].cpu().double()
    found = logits.cpu().double()
    eps = max(1e-13, rounding(seen.scores, seen.logits))
    fitted = None
    if len(calls) == 1 and found.shape == y.shape and bool(torch.isfinite(found).all()):
        fitted = _fitted(y, found, eps, [1.0, *_numbers(model)])
    if fitted is None:
        raise ValueError(
            f"{name} makes its logits of the scores of its output embeddings by something else "
            "than a scale, a bias and a tanh cap"
        )
    return Tail(*fitted, width, seen.logits.dtype)


def agree(a: torch.Tensor, b: torch.Tensor, eps: float = 0.0) -> bool:
    """Whether logits are the same up to rounding, that of their own type or `eps`."""
    if a.shape != b.shape:
        return False
    size = max(1.0, float(b.abs().max()))
    away = float((a.cpu().double() - b.cpu().double()).abs().max())
    return away <= 16.0 * max(eps, rounding(a, b)) * size


def rounding(*tensors: torch.Tensor) -> float:
    """The distance from 1 to the next number of the coarsest type among tensors.

    Float32 counts as what its products are made of.
    """
    import torch

    kinds = [each.dtype for each in tensors]
    kinds += [getattr(torch, product_type(t.device)) for t in tensors if t.dtype == torch.float32]
    return max(torch.finfo(each).eps for each in kinds)


def product_type(device: Any) -> str:
    """The type that is as exact as a device's products of float32 matrices, as it is set today."""
    import torch

    backend: Any = getattr(torch.backends, "cuda" if "cuda" in str(device) else "mkldnn")
    said = getattr(getattr(backend, "matmul", None), "fp32_precision", None)
    if said is None:  # a release that has one setting for all
        said = torch.get_float32_matmul_precision()
    coarse = {"tf32": "float16", "high": "float16", "bf16": "bfloat16", "medium": "bfloat16"}
    return coarse.get(said, "float32")


def _trial(scores: torch.Tensor) -> torch.Tensor:
    """Scores (1, n, V) to try out: nothing first, then all sizes and signs in any order."""
    import torch

    n, width = scores.shape[-2:]
    low, high = (-2.0, 3.0) if scores.dtype == torch.float16 else (-4.0, 6.0)
    rng = np.random.default_rng(0)
    t = rng.permutation(np.linspace(-1.0, 1.0, (n - 1) * width)) if n > 1 else np.zeros(0)
    values = np.zeros((1, n, width))
    values[0, 1:] = (np.sign(t) * 10.0 ** (low + (high - low) * np.abs(t))).reshape(n - 1, width)
    return torch.from_numpy(values).to(scores.dtype)


def _fitted(
    y: torch.Tensor, found: torch.Tensor, eps: float, numbers: list[float]
) -> tuple[float, float | None, torch.Tensor | None] | None:
    """The scale, offset and cap that take scores y to what was found, to rounding."""
    import torch

    offset = found[0]
    there = y != 0.0
    ratio = float(((found - offset) * y).sum() / (y * y).sum())  # beside an offset large ones tell
    scale = _snapped(ratio, numbers, eps)
    away = (found - (scale * y + offset)).abs()
    if bool((away <= 4.0 * eps * (found.abs() + offset.abs())).all()):
        return scale, None, (offset if bool(offset.abs().max() > 0.0) else None)
    if bool(offset.abs().max() > 0.0):
        return None
    top = float(found.abs().max())
    for cap in dict.fromkeys([_snapped(top, numbers, eps), *numbers]):
        within = (found.abs() < 0.5 * cap) & there
        if cap < top * (1.0 - eps) or not bool(within.any()):
            continue
        ratio = float((cap * torch.atanh(found[within] / cap) / y[within]).mean())
        scale = _snapped(ratio, numbers, 4.0 * eps)
        away = (found - cap * torch.tanh(scale * y / cap)).abs()
        if bool((away <= 8.0 * eps * found.abs()).all()):
            return scale, cap, None
    return None


def _snapped(value: float, numbers: list[float], eps: float) -> float:
    """The nearest of the known numbers that the value is up to rounding, else the value."""
    near = [each for each in numbers if abs(value / each - 1.0) <= 2.0 * eps]
    return min(near, key=lambda each: abs(value - each)) if near else value


def _numbers(model: Any) -> list[float]:
    """The numbers of a model's configuration, and one over each: what a scale or a cap may be."""
    config = model.config
    inner = getattr(config, "get_text_config", lambda: config)()
    found: dict[float, None] = {}
    for each in (inner, config):
        for value in vars(each).values():
            if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
                found |= {float(value): None, 1.0 / float(value): None}
    return list(found)


# ---------------------------------------------------------------------------
# Before them
# ---------------------------------------------------------------------------


def chain_of(model: Any, module: Any, seen: Probe, tail: Tail) -> Chain:
    """The modules between the last layer and the output embeddings, found by what they gave."""
    layers = _layers(model)
    at = next(i for i, call in enumerate(seen.calls) if call.module is module)
    last = own = seen.calls[at]
    for call in seen.calls[at + 1 :]:  # what the output embeddings are part of
        part = own.name.startswith(f"{call.name}.") and not _holds(call.name, layers)
        if part and call.entered is not None and _same(call.left, own.left):
            last = call
    before = [c for c in seen.calls[:at] if c.entered is not None and c.left is not None]
    ends = [c for c in before if c.name in layers]
    inner = [c for c in before if not _inside(c.name, layers) and not _holds(c.name, layers)]
    numbers = [1.0, *_numbers(model)]
    assert last.entered is not None
    best: tuple[tuple[Any, ...], torch.Tensor] = (), last.entered
    for links, entered in _ways(inner, last.entered, numbers, DEPTH):
        for end in reversed(ends):
            factor = _factor(end.left, entered, numbers)
            if factor is None:
                continue
            links = _with(factor, links)
            dtypes = entered.dtype, last.entered.dtype
            chain = Chain(links, last.module, True, *dtypes, end.module)
            if _leads(model, end, chain, tail):
                return chain
        if is_norm(links) and len(links) > len(best[0]):
            best = links, entered
    return Chain(best[0], last.module, False, best[1].dtype, last.entered.dtype)


def is_norm(links: tuple[Any, ...]) -> bool:
    """Whether a chain begins with a norm."""
    return bool(links) and "norm" in type(links[0]).__name__.lower()


def _layers(model: Any) -> set[str]:
    """The names of all modules that are one of a list."""
    import torch

    return {
        f"{name}.{key}" if name else key
        for name, each in getattr(model, "_orig_mod", model).named_modules()
        if isinstance(each, torch.nn.ModuleList)
        for key, _ in each.named_children()
    }


def _holds(name: str, layers: set[str]) -> bool:
    """Whether a layer lies in a module."""
    return any(layer.startswith(f"{name}.") for layer in layers)


def _inside(name: str, layers: set[str]) -> bool:
    """Whether a module is a layer, or lies in one."""
    parts = name.split(".")
    return any(".".join(parts[: i + 1]) in layers for i in range(len(parts)))


def _ways(
    calls: list[Call], state: Any, numbers: list[float], depth: int
) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Chains of modules that end in a state, and what goes into each; the shortest first."""
    yield (), state
    if depth == 0:
        return
    for i in range(len(calls) - 1, -1, -1):
        factor = _factor(calls[i].left, state, numbers)
        if factor is None or _same(calls[i].entered, state):  # dropout, say
            continue
        for links, entered in _ways(calls[:i], calls[i].entered, numbers, depth - 1):
            yield (*links, calls[i].module, *_with(factor, ())), entered


def _leads(model: Any, end: Call, chain: Chain, tail: Tail) -> bool:
    """Whether the model makes of other states of its last layer what the chain makes of them."""
    import torch

    ids, options = _tokens(model)
    state = end.left
    assert state is not None
    sizes = 2 + torch.arange(state.shape[-2], device=state.device, dtype=state.dtype)
    other = state.roll(1, -1) * sizes[:, None]
    with tapped(end.module, leave=lambda _: other):
        logits = _logits(model, ids, options)
    with torch.no_grad(), evaluating(model):
        found = tail(through(chain, other))
    return agree(found, logits, rounding(state, logits))


def through(chain: Chain, states: torch.Tensor) -> torch.Tensor:
    """The scores of states (1, n, d) that enter a chain."""
    states = states.to(chain.first_dtype)
    for link in chain.links:
        states = states * link if isinstance(link, float) else link(states)
    found = first_tensor(chain.last(states.to(chain.last_dtype)))
    assert found is not None
    return found


def _with(factor: float, links: tuple[Any, ...]) -> tuple[Any, ...]:
    return links if factor == 1.0 else (factor, *links)


def _same(a: Any, b: Any) -> bool:
    import torch

    if a is None or b is None or a.shape != b.shape:
        return False
    return torch.equal(a.cpu().double(), b.cpu().double())


def _factor(source: Any, state: Any, numbers: list[float]) -> float | None:
    """The known number k with state = k source to rounding, or None."""
    if source.shape != state.shape:
        return None
    a, b = source.cpu().double(), state.cpu().double()
    size = float((a * a).sum())
    if not 0.0 < size < np.inf:
        return None
    eps = rounding(source, state)
    k = _snapped(float((a * b).sum()) / size, numbers, eps)
    away = float((b - k * a).abs().max())
    return k if k in numbers and away <= 2.0 * eps * float(b.abs().max()) else None
