"""The bundled ladder of models on urns and Markov chains, and the script that trains it."""

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

import matrixbayes as mb
from matrixbayes import windtunnel

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

FOLDER = Path(str(files("matrixbayes") / "data" / "emergence"))
SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "train_emergence.py"
RECORD = json.loads((FOLDER / "training.json").read_text(encoding="utf-8"))
MODELS = RECORD["models"]
LADDER = {"2k": 2312, "8k": 7696, "28k": 27680, "105k": 104512, "406k": 405632}
SIZES = LADDER | {"55k-flat": 54528, "28k-long": 27680}
V, BOS, LENGTH = 4, 4, 64


def load(name: str) -> Any:
    model = transformers.AutoModelForCausalLM.from_pretrained(FOLDER / name, local_files_only=True)
    return model.eval()


def seeds_of(size: str) -> list[dict[str, Any]]:
    return [MODELS[name] for name in MODELS if name.rpartition("-")[0] == size]


def sample(task: str, n: int, seed: int) -> np.ndarray:
    """Sequences (n, LENGTH), token by token."""
    rng = np.random.default_rng(seed)
    prior = RECORD["prior"]
    tokens = np.empty((n, LENGTH), dtype=np.int64)
    for row in tokens:
        if task == "urns":
            row[:] = rng.choice(V, size=LENGTH, p=rng.dirichlet(prior["urn_alpha"]))
            continue
        chain = rng.dirichlet(prior["chain_alpha"], size=V)
        row[0] = rng.integers(V)
        for t in range(1, LENGTH):
            row[t] = rng.choice(V, p=chain[row[t - 1]])
    return tokens


def exact(tokens: np.ndarray) -> np.ndarray:
    """Bayes token by token, by counting alone: (n, T) to (n, T, V)."""
    prior = RECORD["prior"]
    out = np.empty((*tokens.shape, V))
    for sequence, rows in zip(tokens, out, strict=True):
        urn = np.array(prior["urn_alpha"])
        chain = np.tile(prior["chain_alpha"], (V, 1))
        odds = prior["weights"]["urns"] / prior["weights"]["chains"]
        for t, token in enumerate(sequence):
            one = urn / urn.sum()
            row = chain[sequence[t - 1]]
            other = row / row.sum() if t else np.full(V, 1 / V)
            rows[t] = (odds * one + other) / (odds + 1)
            odds *= one[token] / other[token]
            urn[token] += 1
            if t:
                chain[sequence[t - 1], token] += 1
    return out


def log_probs(model: Any, tokens: np.ndarray) -> np.ndarray:
    begun = np.concatenate([np.full((len(tokens), 1), BOS), tokens[:, :-1]], axis=1)
    with torch.no_grad():
        logits = model(torch.from_numpy(begun)).logits.double()
    return logits[:, :, :V].log_softmax(dim=2).numpy()


@pytest.fixture(scope="module")
def measured() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """60 sequences of each task, and their exact predictives."""
    sequences = {"urns": sample("urns", 60, 1), "chains": sample("chains", 60, 2)}
    return {name: (tokens, exact(tokens)) for name, tokens in sequences.items()}


def test_folder_is_small_and_complete() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {*MODELS, "training.json"}
    for name in MODELS:
        assert {p.name for p in (FOLDER / name).iterdir()} == {"config.json", "model.safetensors"}
        assert (FOLDER / name / "model.safetensors").stat().st_size < 2_000_000
    assert sum(path.stat().st_size for path in FOLDER.rglob("*")) < 4_000_000


def test_record_has_what_it_takes_to_train_again() -> None:
    assert RECORD["command"].startswith("python tools/train_emergence.py")
    assert (RECORD["tokens"], RECORD["begin_token"], RECORD["length"]) == (V, BOS, LENGTH)
    assert sum(RECORD["prior"]["weights"].values()) == 1
    assert {"steps", "batch_size", "peak_rates", "data_seed", "versions"} <= RECORD.keys()
    assert RECORD["evaluation"]["sequences"] >= 1000
    assert RECORD["evaluation"]["seed"] != RECORD["data_seed"]
    assert all(len(seeds_of(size)) >= 2 for size in LADDER)
    assert all(len(seeds_of(size)) >= 3 for size in LADDER if LADDER[size] < 100_000)
    assert sum(len(seeds_of(size)) for size in SIZES) == len(MODELS)
    for name, model in MODELS.items():
        assert name.endswith(f"-{model['seed']}")
        assert model["steps"] == RECORD["steps"] * (4 if name == "28k-long-0" else 1)
        for task in ("urns", "chains"):
            assert len(model[task]["by_position"]) == LENGTH
            mean = np.mean(model[task]["by_position"])
            assert model[task]["mean_kl_bits"] == pytest.approx(mean, abs=2e-6)
        mean = (model["urns"]["mean_kl_bits"] + model["chains"]["mean_kl_bits"]) / 2
        assert model["mean_kl_bits"] == pytest.approx(mean, abs=2e-6)


@pytest.mark.parametrize("name", MODELS)
def test_checkpoints_load_and_are_as_recorded(
    name: str, measured: dict[str, tuple[np.ndarray, np.ndarray]]
) -> None:
    model = load(name)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    size = name.rpartition("-")[0]
    assert sum(p.numel() for p in model.parameters()) == SIZES[size] == MODELS[name]["parameters"]
    assert model.config.n_layer == MODELS[name]["layers"] == (1 if size == "55k-flat" else 2)
    assert model.config.n_embd == MODELS[name]["width"]
    for task, (tokens, rows) in measured.items():
        bits = (rows * (np.log(rows) - log_probs(model, tokens))).sum(axis=2) / math.log(2)
        per_sequence = bits.mean(axis=1)
        recorded = MODELS[name][task]
        error = per_sequence.std(ddof=1) / math.sqrt(len(tokens))
        error = math.hypot(error, recorded["standard_error"])
        assert bits.min() > -1e-9
        assert abs(per_sequence.mean() - recorded["mean_kl_bits"]) < 5 * error


def test_the_record_is_what_wind_tunnels_measure(
    measured: dict[str, tuple[np.ndarray, np.ndarray]],
) -> None:
    prior = RECORD["prior"]
    task = windtunnel.Mixture(
        [
            windtunnel.Urns(mb.DirichletMixture([1.0], [prior["urn_alpha"]])),
            windtunnel.MarkovChains(mb.DirichletMixture([1.0], [prior["chain_alpha"]])),
        ],
        list(prior["weights"].values()),
    )
    for tokens, rows in measured.values():
        np.testing.assert_allclose(np.exp(task.log_predictive(tokens)), rows, rtol=1e-9)
        found = windtunnel.score(task, load("8k-0"), tokens, token_ids=range(V), prefix=[BOS])
        bits = (rows * (np.log(rows) - log_probs(load("8k-0"), tokens))).sum(axis=2) / math.log(2)
        assert found.mean_kl == pytest.approx(bits.mean(), rel=1e-5)


def test_what_size_and_depth_bring() -> None:
    kl = {size: [m["mean_kl_bits"] for m in seeds_of(size)] for size in SIZES}
    assert max(kl["406k"]) < min(kl["2k"])
    assert np.mean(kl["406k"]) < 0.5 * np.mean(kl["2k"])
    # One layer, however wide, does on chains what urns alone do; two can do more.
    alone = RECORD["baselines"]["urns alone"]["chains"]["mean_kl_bits"]
    assert min(m["chains"]["mean_kl_bits"] for m in seeds_of("55k-flat")) > 0.7 * alone
    for size in ("8k", "28k", "105k", "406k"):
        assert max(m["chains"]["mean_kl_bits"] for m in seeds_of(size)) < 0.1 * alone


def test_baselines_are_as_recorded(measured: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    for task, (_, rows) in measured.items():
        bits = (rows * (np.log(rows) - math.log(1 / V))).sum(axis=2) / math.log(2)
        recorded = RECORD["baselines"]["even"][task]
        error = bits.mean(axis=1).std(ddof=1) / math.sqrt(len(bits))
        assert abs(bits.mean() - recorded["mean_kl_bits"]) < 5 * math.hypot(
            error, recorded["standard_error"]
        )


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


def record_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "training.json").read_text(encoding="utf-8"))


@pytest.mark.usefixtures("torch_settings")
@pytest.mark.slow
def test_script_runs_from_end_to_end(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script.main(["--quick", "--out", str(tmp_path)])
    record = record_of(tmp_path)
    assert {n: m["parameters"] for n, m in record["models"].items()} == {
        f"{size}-0": parameters for size, parameters in SIZES.items()
    }
    assert record["command"] == "python tools/train_emergence.py --steps 4 --batch 8"
    assert record["prior"] == RECORD["prior"]
    trained = capsys.readouterr().out.splitlines()
    script.main(["--quick", "--evaluate-only", "--out", str(tmp_path), "--models", "2k-0"])
    again = capsys.readouterr().out
    assert trained[0].partition(":")[2] == again.strip().partition(":")[2]


@pytest.mark.usefixtures("torch_settings")
@pytest.mark.slow
def test_script_repeats_itself_and_keeps_what_is_there(script: ModuleType, tmp_path: Path) -> None:
    options = ["--quick", "--out", str(tmp_path), "--models"]
    script.main([*options, "2k-0"])
    first = (tmp_path / "2k-0" / "model.safetensors").read_bytes()
    script.main([*options, "8k-0"])
    assert list(record_of(tmp_path)["models"]) == ["2k-0", "8k-0"]
    script.main([*options, "2k-0"])
    assert (tmp_path / "2k-0" / "model.safetensors").read_bytes() == first
    with pytest.raises(SystemExit, match="no such model: 3k-0"):
        script.main([*options, "3k-0"])


def test_sizes_of_a_seed_read_the_same_and_seeds_do_not(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    class Enough(Exception):
        pass

    def note(self: Any, n: int, length: int, *, rng: Any = None) -> Any:
        seen.append(rng.bit_generator.state)
        raise Enough

    monkeypatch.setattr(windtunnel.Mixture, "sample", note)
    for size, seed in (("2k", 0), ("28k", 0), ("2k", 1)):
        with pytest.raises(Enough):
            script.train(script.LADDER[size], seed, script.parse(["--quick"]))
    assert seen[0] == seen[1] != seen[2]
