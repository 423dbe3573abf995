"""Make tests/data/before: a pickle and a file of each kind, and the public names, of version 0.1.0.

Run once, on the package as it was before it had rooms (commit 3bfa4f2), and not again: what
these files hold is what later versions must still read, under the names of modules that they
were written with.

    python tools/make_before.py

pickles.json        pickles by name, in base64, and what each object says of itself
files/              one file of each format that the package writes
files.json          what reading each gives
public_names.json   public names, with the signatures of functions and of the members of classes
"""

from __future__ import annotations

import base64
import json
import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from house.facts import facts, members  # noqa: E402
from matrixbayes._huggingface_preflight import Finding, PreflightReport  # noqa: E402
from matrixbayes._study_inputs import Shots, UsageError  # noqa: E402
from matrixbayes._study_shots import Divergence, ShotStudy  # noqa: E402

import matrixbayes as mb  # noqa: E402
from matrixbayes import dask, diagnostics, errors, plot, study, windtunnel  # noqa: E402

BEFORE = ROOT / "tests" / "data" / "before"

COIN = mb.DirichletMixture([0.7, 0.3], [[8.0, 2.0], [2.0, 8.0]], tokens=("head", "tail"))
DICE = mb.DirichletMixture([1.0], [[1.0, 2.0, 3.0]], tokens="abc")
TEXT = [0, 1, 1, 2, 0, 1, 2, 2, 1, 0, 1, 1]


def mixtures() -> dict[str, Any]:
    rows = mb.NextTokenRows(
        np.log([[0.25, 0.75], [0.5, 0.5]]),
        tokens=("no", "yes"),
        token_ids=[3, 4],
        hidden=np.arange(4.0).reshape(2, 2),
        meta={"model": "none"},
    )
    path = mb.posterior_path(COIN, ["head", "tail", "tail"])
    return {
        "DirichletMixture": COIN,
        "DirichletMixture of many": DICE.durrmeyer(3),
        "Uncertainty": COIN.uncertainty(),
        "Reduction": COIN.reduce(1, rng=0),
        "NextTokenRows": rows,
        "PosteriorPath": path,
        "ApproximationReport": mb.approximation_report(
            lambda p: 6.0 * p[:, 0] * p[:, 1], degree=4, n_tokens=2
        ),
    }


def fits() -> dict[str, Any]:
    rows = COIN.sample(40, rng=0)
    counts = np.random.default_rng(0).multinomial(9, [0.2, 0.3, 0.5], size=30)
    penalty = mb.GammaPrior(1.5, 0.1, on="concentration")
    options: dict[str, Any] = {"random_state": 0, "max_iter": 25, "tol": 1e-3}
    on_rows = mb.DirichletMixtureEstimator(2, kind="probs", **options).fit(rows)
    on_counts = mb.DirichletMixtureEstimator(
        1, kind="counts", concentration_prior=penalty, **options
    ).fit(counts)
    stepwise = mb.DirichletMixtureEstimator(1, kind="counts", **options).partial_fit(counts)
    return {
        "DirichletMixtureEstimator": mb.DirichletMixtureEstimator(3, kind="log_probs"),
        "DirichletMixtureEstimator on rows": on_rows,
        "DirichletMixtureEstimator on counts": on_counts,
        "DirichletMixtureEstimator by steps": stepwise,
        "GammaPrior": penalty,
        "SufficientStatistics": on_rows.summarize(rows),
        "CountStatistics": on_counts.summarize(counts),
        "Information": on_rows.information(rows),
        "PriorSelection": mb.select_prior(rows, [1, 2], kind="probs", **options),
    }


def matrices() -> dict[str, Any]:
    plain = mb.TransitionMatrix(1, n_tokens=3, prior=DICE).update(TEXT)
    deep = mb.TransitionMatrix(2, n_tokens=3, hierarchical=True).update([TEXT, TEXT[::2]])
    return {
        "TransitionMatrix": plain,
        "TransitionMatrix with a hierarchy": deep.fit_prior(),
        "TransitionMatrix with a discount": mb.TransitionMatrix(2, n_tokens=3, discount=0.5).update(
            TEXT
        ),
        "TransitionMatrix with given concentrations": mb.TransitionMatrix(
            2, n_tokens=3, hierarchical=[2.0, 3.0]
        ).update(TEXT),
        "TransitionMatrix that forgot": plain.copy().forget(0.5, [0]),
        "TransitionMatrix of nothing": mb.TransitionMatrix(3, n_tokens=5),
        "Comparison": mb.compare(plain, plain.predict([[0], [1]]), [[0], [1]], kind="probs"),
    }


def maps() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    points = np.linspace(-2, 2, 12)[:, np.newaxis]
    table, hidden = rng.normal(size=(6, 2)), rng.normal(size=(5, 2))
    embedding = mb.EmbeddingMap(points, np.hstack([points, -points]), kind="logits")
    return {
        "AffineTest": mb.affine_test(rng.random((9, 2)), rng.random((9, 3)), kind="logits", rng=0),
        "ContinuityReport": mb.check_continuity(
            points, np.hstack([points, -points]), kind="logits", rng=0
        ),
        "EmbeddingMap": embedding,
        "Pairs": embedding.all_pairs(),
        "HeadBound": mb.head_bound(table, hidden),
        "SoftmaxSpan": mb.span_of(hidden @ table.T, table, kind="logits"),
        "SegmentProbe": mb.probe_segment(lambda h: h @ table.T, [0.0, 2.0], [2.0, 0.0]),
    }


def behaviour() -> dict[str, Any]:
    urn = mb.UrnPredictor(mb.DirichletMixture([1.0], [[1.0, 2.0]]))
    task = windtunnel.Urns(urn.prior)
    histories = [[], [0], [1], [0, 0], [0, 1, 0, 0], [1, 1], [0, 1, 1]]
    model = np.array([[h.count(0) + 3, h.count(1) + 3] for h in histories], dtype=float)
    model /= model.sum(axis=1, keepdims=True)
    elicited = mb.elicit_prior(
        histories, model, kind="probs", family=["iid", "markov"], n_boot=3, cv=2, rng=0
    )
    shots = np.arange(0, 20, 2)
    texts, labels = ["good", "fine", "bad", "poor"] * 2, ["yes", "yes", "no", "no"] * 2
    curve = mb.fit_icl_curve(shots, (2 + shots) / (10 + shots), rng=0)
    laws = mb.fit_scaling_laws(
        shots, mb.bayesian_law(shots, [0.01, 0.99], [0.8, 0.3]), n_fitted=6, rng=0
    )
    design = {"shots": [0, 2], "rng": 0, "template": "{input}: {label}", "separator": "; "}
    flipped = mb.flipped_label_design(texts, labels, **design)
    answers = np.random.default_rng(0).dirichlet([2.0, 1.0], size=len(flipped))
    hmm = windtunnel.HMM([0.5, 0.5], [[0.9, 0.1], [0.1, 0.9]], [[0.8, 0.2], [0.2, 0.8]])
    return {
        "UrnPredictor": urn,
        "DiagnosticTest": mb.martingale_test(urn, n=20, length=6, n_boot=19, rng=0),
        "ScoreCard": mb.score_card(urn, None, task, n=20, length=6, n_boot=99, rng=0),
        "ElicitationReport": elicited,
        "FamilyComparison": elicited.comparison,
        "IclFit": curve,
        "IclCurve": curve.dirichlet,
        "ScalingFit": laws,
        "LawFit": laws.best,
        "LabelDesign": flipped,
        "LabelCurve": flipped.curve(answers, kind="probs"),
        "LabelDesign of others": mb.unrelated_label_design(texts, labels, n_sequences=2, **design),
        "LearningPath": mb.learning_path(COIN, task.log_predictive, ["head", "tail", "tail"]),
        "Urns": task,
        "MarkovChains": windtunnel.MarkovChains(urn.prior),
        "Bijection": windtunnel.Bijection(4),
        "HMM": hmm,
        "Switch": windtunnel.Switch(2, flipped=0.1, noise=0.2),
        "Mixture": windtunnel.Mixture([task, hmm]),
        "WindTunnelScore": windtunnel.score(task, hmm.log_predictive, n=5, length=4, rng=0),
    }


def reports(made: dict[str, Any]) -> dict[str, Any]:
    shots = ShotStudy(
        made["PosteriorPath"],
        made["NextTokenRows"],
        None,
        (Divergence("KL(model || predictive)", np.array([0.5]), np.array([np.nan])),),
        1,
    )
    found = (Finding("warning", "the last prompt is empty"),)
    return {
        "StudyResult": study.StudyResult(
            "none",
            made["NextTokenRows"],
            made["PriorSelection"],
            COIN,
            elicitation=made["ElicitationReport"],
            truth=COIN,
            shots=shots,
            settings={"seed": 0},
            notes=("nothing",),
        ),
        "Shots": Shots(("a", "a b"), ("b",)),
        "PreflightReport": PreflightReport(found, n_rows=2, n_columns=3, n_tokens=5, n_bytes=24),
        "ConvergenceWarning": errors.ConvergenceWarning("it did not end"),
        "NotFittedError": errors.NotFittedError("no fit"),
        "ArgumentError": errors.ArgumentError("no number"),
        "NoSuchTokenError": errors.NoSuchTokenError("no token"),
        "UsageError": UsageError("no folder"),
    }


def files(made: dict[str, Any]) -> dict[str, Any]:
    """Write one of each; what reading it gives, by the file's name."""
    folder = BEFORE / "files"
    folder.mkdir(parents=True, exist_ok=True)
    said: dict[str, Any] = {}
    for name, thing in made.items():
        path = folder / f"{name.replace(' ', '_')}.safetensors"
        if isinstance(thing, mb.DirichletMixture | mb.NextTokenRows):
            thing.save(path)
            said[path.name] = facts(type(thing).load(path))
        elif isinstance(thing, mb.TransitionMatrix):
            thing.save(path)
            said[path.name] = facts(mb.TransitionMatrix.open(path))
    mb.write_easel(DICE, folder / "easel.txt")
    said["easel.txt"] = facts(mb.read_easel(folder / "easel.txt", tokens="abc"))
    return said


def public_names() -> dict[str, Any]:
    every = {
        "matrixbayes": (mb, mb.__all__),
        "matrixbayes.plot": (plot, plot.__all__),
        "matrixbayes.windtunnel": (windtunnel, windtunnel.__all__),
        "matrixbayes.diagnostics": (diagnostics, diagnostics.__all__),
        "matrixbayes.dask": (dask, dask.__all__),
    }
    return {name: members(module, names) for name, (module, names) in every.items()}


def write(name: str, what: Any) -> None:
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in what.items()]
    (BEFORE / name).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def main() -> None:
    BEFORE.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = mixtures() | fits() | matrices() | maps() | behaviour()
        made |= reports(made)
    kept = {}
    for name, thing in made.items():
        data = pickle.dumps(thing, protocol=4)  # NumPy 1.26 reads it too
        kept[name] = {
            "pickle": base64.b64encode(data).decode(),
            "says": facts(pickle.loads(data)),
        }
    write("pickles.json", kept)
    write("files.json", files(made))
    write("public_names.json", public_names())


if __name__ == "__main__":
    main()
