"""Rows from the causal models of HuggingFace, and what lies between a state and a row.

Contents
    collect              run a loaded model over prompts: NextTokenRows
    preflight            what would go wrong, how exact batches are, how long it will take
    TokenPredictor       a model that predicts and samples, for whoever holds it against Bayes
    LayerRows            rows by layer, as collect(layers=...) gives them
    load_demo, Demo      the model that comes with the package, and prompts to show it
    head_of, embed_of    its head, and the whole of it, as functions to probe

Nothing loads, moves or changes the model or the tokenizer.  torch and transformers are imported
only when a function here runs.
"""

from .collection import collect
from .demo import Demo, load_demo
from .heads import Head, head_of
from .inside.inputs import embed_of
from .layers.layer_rows import LayerRows
from .predictor import TokenPredictor
from .preflight_report import preflight
from .runs.found import Finding, PreflightReport

__all__ = [
    "Demo",
    "Finding",
    "Head",
    "LayerRows",
    "PreflightReport",
    "TokenPredictor",
    "collect",
    "embed_of",
    "head_of",
    "load_demo",
    "preflight",
]
