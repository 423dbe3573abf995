"""`load_demo`: three things that unpack, ready to use, the same every time, without a sound."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import matrixbayes as mb


@pytest.fixture(scope="module")
def demo() -> Any:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    return mb.load_demo()


def test_it_unpacks_into_three_and_has_names(demo: Any) -> None:
    model, tokenizer, prompts = demo
    assert model is demo.model
    assert tokenizer is demo.tokenizer
    assert prompts is demo.prompts
    assert demo._fields == ("model", "tokenizer", "prompts")
    assert not model.training
    assert all(isinstance(prompt, str) for prompt in prompts)


def test_prompts_are_draws_of_the_prior_and_the_same_every_time(demo: Any) -> None:
    assert mb.load_demo().prompts == demo.prompts
    words = [prompt.split() for prompt in demo.prompts]
    assert {len(each) for each in words} == {48}
    assert {word for each in words for word in each} == set(demo.tokens)
    share = np.array([[each.count(c) for c in demo.tokens] for each in words]).mean(axis=0) / 48
    # 300 rows of standard deviation at most .25 each
    assert np.allclose(share, demo.truth.mean(), atol=4 * 0.25 / np.sqrt(300))
    text = demo.tokenizer(demo.prompts[0])["input_ids"]
    assert demo.tokenizer.decode(text, skip_special_tokens=True).split() == words[0]


def test_the_model_reads_them_as_bayes_does(demo: Any) -> None:
    options: dict[str, Any] = {"vocab": list(demo.tokens), "other": "renormalize"}
    model, tokenizer, prompts = demo
    rows = mb.collect(model, tokenizer, prompts[:20], progress=False, **options)
    for row, prompt in zip(rows.probs(), prompts, strict=False):
        counts = {c: prompt.split().count(c) for c in demo.tokens}
        exact = demo.truth.posterior(counts).mean()
        assert (exact * np.log2(exact / row)).sum() < 0.01


def test_it_says_what_it_is(demo: Any) -> None:
    text = repr(demo)
    assert len(text.splitlines()) <= 10
    for word in ("GPT2LMHeadModel", "104,832 parameters", "prompts", "300", demo.prompts[0][:20]):
        assert word in text


@pytest.mark.parametrize("shown", [True, False])
def test_it_loads_without_a_sound_and_leaves_bars_as_they_were(
    demo: Any, shown: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    from transformers.utils import logging

    before = logging.is_progress_bar_enabled()
    switch = {True: logging.enable_progress_bar, False: logging.disable_progress_bar}
    switch[shown]()
    try:
        mb.load_demo()
        assert logging.is_progress_bar_enabled() is shown
    finally:
        switch[before]()
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_notebook_without_widgets_sees_no_warning(run_python: Callable[..., str]) -> None:
    pytest.importorskip("transformers")
    code = """
        import sys, types, warnings
        kernel = types.SimpleNamespace(config={"IPKernelApp": {}})
        sys.modules["IPython"] = types.SimpleNamespace(get_ipython=lambda: kernel)
        sys.modules["ipywidgets"] = None
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            import matrixbayes as mb
            mb.load_demo()
        import tqdm.autonotebook
        print([str(each.message) for each in said if "IProgress" in str(each.message)])
    """
    assert run_python(inspect.cleandoc(code)).strip() == "[]"


@pytest.mark.parametrize("missing", ["torch", "transformers"])
def test_without_torch_it_says_how_to_get_it(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=r'pip install "matrixbayes\[hf\]"'):
        mb.load_demo()
