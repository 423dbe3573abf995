"""The bundled urn model: it loads like any other checkpoint and is as Bayesian as it says."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scripts import loaded

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

FOLDER = Path(str(files("matrixbayes") / "data" / "urns"))
SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "train_urns.py"
COLOURS = ["red", "orange", "yellow", "green", "blue", "purple", "white", "black"]
HISTORY = 48


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    return json.loads((FOLDER / "training.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return transformers.AutoTokenizer.from_pretrained(FOLDER, local_files_only=True)


@pytest.fixture(scope="module")
def model() -> Any:
    loaded = transformers.AutoModelForCausalLM.from_pretrained(FOLDER, local_files_only=True)
    return loaded.eval()


def sample_words(prior: dict[str, Any], n: int, length: int, seed: int) -> np.ndarray:
    """Columns (n, length): one urn and `length` words a row, drawn one by one."""
    rng = np.random.default_rng(seed)
    rows = np.empty((n, length), dtype=np.int64)
    for row in rows:
        k = rng.choice(len(prior["weights"]), p=prior["weights"])
        row[:] = rng.choice(len(COLOURS), size=length, p=rng.dirichlet(prior["alpha"][k]))
    return rows


def exact_predictives(prior: dict[str, Any], words: np.ndarray) -> np.ndarray:
    """Bayes word by word, without a gamma function: (n, T) to (n, T + 1, V)."""
    weights = np.tile(prior["weights"], (len(words), 1))
    alpha = np.tile(prior["alpha"], (len(words), 1, 1))
    every = np.arange(len(words))
    out = []
    for t in range(words.shape[1] + 1):
        means = alpha / alpha.sum(axis=2, keepdims=True)
        out.append((weights[:, :, None] * means).sum(axis=1))
        if t < words.shape[1]:
            weights = weights * means[every, :, words[:, t]]
            weights /= weights.sum(axis=1, keepdims=True)
            alpha[every, :, words[:, t]] += 1
    return np.stack(out, axis=1)


def kl_bits(model: Any, tokenizer: Any, words: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """KL(exact || model over its whole vocabulary), (n, T + 1), in bits."""
    text = [" ".join(COLOURS[v] for v in row) for row in words]
    with torch.no_grad():
        logits = model(**tokenizer(text, return_tensors="pt")).logits
    columns = tokenizer.convert_tokens_to_ids(COLOURS)
    log_model = torch.log_softmax(logits.double(), dim=2)[:, :, columns].numpy()
    return (exact * (np.log(exact) - log_model)).sum(axis=2) / math.log(2)


def test_folder_is_small_and_complete() -> None:
    names = {path.name for path in FOLDER.iterdir()}
    wanted = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert wanted | {"training.json", "README.md"} <= names
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1_000_000


@pytest.mark.slow
def test_record_has_what_it_takes_to_train_again(record: dict[str, Any], model: Any) -> None:
    prior = record["prior"]
    assert prior["tokens"] == COLOURS
    assert np.shape(prior["alpha"]) == (3, 8)
    assert math.isclose(sum(prior["weights"]), 1)
    assert record["command"].startswith("python tools/train_urns.py")
    assert {"seed", "steps", "batch_size"} <= record.keys()
    assert 0 < record["minutes"] < 30
    assert record["parameters"] == sum(p.numel() for p in model.parameters())
    assert {"torch", "transformers"} <= record["versions"].keys()
    evaluation = record["evaluation"]
    assert evaluation["sequences"] >= 2000
    assert evaluation["seed"] != record["seed"]
    assert len(evaluation["kl_bits_by_position"]) == HISTORY + 1
    mean = np.mean(evaluation["kl_bits_by_position"])
    assert evaluation["mean_kl_bits"] == pytest.approx(mean, abs=1e-7)
    assert evaluation["mean_kl_bits"] <= 0.002


def test_text_becomes_bos_and_one_id_per_word(tokenizer: Any, model: Any) -> None:
    encoded = tokenizer("red blue  blue")
    red, blue = (COLOURS.index(word) for word in ("red", "blue"))
    assert set(encoded) == {"input_ids", "attention_mask"}
    assert encoded["input_ids"] == [tokenizer.bos_token_id, red, blue, blue]
    assert tokenizer("")["input_ids"] == [tokenizer.bos_token_id]
    assert tokenizer("blue", add_special_tokens=False)["input_ids"] == [blue]
    assert tokenizer.decode(encoded["input_ids"], skip_special_tokens=True) == "red blue blue"
    assert (tokenizer.bos_token, tokenizer.pad_token) == ("<bos>", "<pad>")
    assert len(tokenizer) == model.config.vocab_size == 10
    assert model.config.bos_token_id == tokenizer.bos_token_id
    assert model.config.pad_token_id == tokenizer.pad_token_id


def test_an_unknown_word_is_an_error(tokenizer: Any) -> None:
    with pytest.raises(Exception, match="UNK"):
        tokenizer("red pink")


def test_model_is_as_close_to_bayes_as_recorded(
    record: dict[str, Any], model: Any, tokenizer: Any
) -> None:
    words = sample_words(record["prior"], 300, HISTORY, seed=7)
    bits = kl_bits(model, tokenizer, words, exact_predictives(record["prior"], words))
    per_sequence = bits.mean(axis=1)
    error = per_sequence.std(ddof=1) / math.sqrt(len(words))
    assert bits.min() > -1e-9
    assert per_sequence.mean() <= 0.0025
    assert abs(per_sequence.mean() - record["evaluation"]["mean_kl_bits"]) < 5 * error


def test_model_updates_with_the_right_prior_and_no_other(
    record: dict[str, Any], model: Any, tokenizer: Any
) -> None:
    """Neighbouring priors fit clearly worse, so the recorded one can be recovered."""
    prior = record["prior"]
    words = sample_words(prior, 200, HISTORY, seed=8)
    right = kl_bits(model, tokenizer, words, exact_predictives(prior, words)).mean()
    alpha = np.array(prior["alpha"])
    others = [
        {"weights": [0.4, 0.3, 0.3], "alpha": alpha},
        {"weights": prior["weights"], "alpha": alpha * 1.3},
        {"weights": prior["weights"], "alpha": alpha / 1.3},
        {"weights": prior["weights"], "alpha": alpha[[1, 0, 2]]},
    ]
    for other in others:
        wrong = kl_bits(model, tokenizer, words, exact_predictives(other, words)).mean()
        assert wrong > right + 0.0005


def test_right_padding_changes_nothing(model: Any, tokenizer: Any) -> None:
    prompts = ["red", "", "blue white black white", " ".join(COLOURS * 7)]
    with torch.no_grad():
        batch = model(**tokenizer(prompts, padding=True, return_tensors="pt")).logits
        for prompt, padded in zip(prompts, batch, strict=True):
            alone = model(**tokenizer(prompt, return_tensors="pt")).logits[0]
            torch.testing.assert_close(padded[: len(alone)], alone, rtol=0, atol=1e-5)


def test_generation_stays_among_the_colours(model: Any, tokenizer: Any) -> None:
    prompt = tokenizer("red red orange", return_tensors="pt")
    torch.manual_seed(0)
    out = model.generate(**prompt, do_sample=True, max_new_tokens=40, num_return_sequences=8)
    assert out.shape == (8, 44)
    assert set(tokenizer.decode(out[:, 4:].flatten()).split()) <= set(COLOURS)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    if not SCRIPT.is_file():
        pytest.skip("the training script is only in the repository")
    return loaded(SCRIPT)


@pytest.fixture
def torch_settings() -> Iterator[None]:
    """Undo what the script sets for the whole process."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


def test_script_holds_the_recorded_prior_and_the_right_formula(
    script: ModuleType, record: dict[str, Any]
) -> None:
    prior = record["prior"]
    assert script.URNS.weights.tolist() == prior["weights"]
    assert script.URNS.alpha.tolist() == prior["alpha"]
    words = script.URNS.sample(50, HISTORY, np.random.default_rng(9))
    exact = exact_predictives(prior, words)
    np.testing.assert_allclose(script.URNS.predictive(words), exact, rtol=1e-11)


def test_script_draws_from_the_mixture(script: ModuleType, record: dict[str, Any]) -> None:
    """First words and pairs of equal words have their exact frequencies, to 5 deviations."""
    weights = np.array(record["prior"]["weights"])
    alpha = np.array(record["prior"]["alpha"])
    total = alpha.sum(axis=1, keepdims=True)
    first = weights @ (alpha / total)
    pair = weights @ (alpha * (alpha + 1) / (total * (total + 1))).sum(axis=1)
    n = 500_000
    words = script.URNS.sample(n, 2, np.random.default_rng(10))
    seen = np.bincount(words[:, 0], minlength=8) / n
    assert np.all(np.abs(seen - first) < 5 * np.sqrt(first / n))
    assert abs(np.mean(words[:, 0] == words[:, 1]) - pair) < 5 * math.sqrt(pair / n)


@pytest.mark.usefixtures("torch_settings")
def test_script_repeats_itself(script: ModuleType, tmp_path: Path) -> None:
    options = ["--steps", "4", "--batch", "8", "--sequences", "20"]
    for name in ("one", "two"):
        script.main([*options, "--out", str(tmp_path / name)])
    one, two = (tmp_path / name / "model.safetensors" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    trained = json.loads((tmp_path / "one" / "training.json").read_text(encoding="utf-8"))
    assert trained["command"] == "python tools/train_urns.py --steps 4 --batch 8"


@pytest.mark.usefixtures("torch_settings")
def test_script_gives_up_in_time(script: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="nothing was written"):
        script.main(["--minutes", "0", "--batch", "8", "--out", str(tmp_path / "none")])
    assert not (tmp_path / "none").exists()
