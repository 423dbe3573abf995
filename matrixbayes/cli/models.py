"""Models: checked by name, and loaded once everything else has been looked at.

Contents
    check_model    refuses what is no model, before torch is imported
    loaded         a model and its tokenizer, in our process
    threads        how many of torch's there are, for a while
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import UsageError
from .answers import say


def check_model(options: Any) -> None:
    """Refuse a folder that is none of a model."""
    from ..study.inputs import source_of

    source_of(options.model)


def loaded(options: Any) -> tuple[Any, Any]:
    """The model and its tokenizer."""
    from ..study.inputs import load_model

    say(options, "loading the model")
    calm_transformers()
    return load_model(
        options.model, download=options.download, device=options.device, dtype=options.dtype
    )


def calm_transformers() -> None:
    """Switch off the loading bars of transformers, which is our process to decide here."""
    try:
        from transformers.utils import logging
    except ImportError as error:
        raise UsageError("models need torch: pip install 'matrixbayes[hf]'") from error
    logging.disable_progress_bar()
    logging.set_verbosity_error()


def model_name(options: Any) -> str:
    """What to call the model."""
    return "the bundled urn model" if options.model is None else str(options.model)


@contextmanager
def threads(n: int | None) -> Iterator[None]:
    """Let torch have `n` threads meanwhile; None leaves it as it is."""
    if n is None or n < 1:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
