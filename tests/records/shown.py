"""What rows from records list, as dictionaries, and the records that are read.

Contents
    DATA      the folder of written records
    load      one of them
    listed    the tokens of a row and their numbers
    edges     exp(rest) and exp(cap) of a row
    entry     a token as OpenAI writes it
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from matrixbayes.rows import PartialRows

DATA = Path(__file__).resolve().parents[1] / "data" / "records"


def load(name: str) -> Any:
    return json.loads((DATA / name).read_text("utf-8"))


def listed(rows: PartialRows, i: int) -> dict[str, float]:
    assert rows.tokens is not None
    names = [rows.tokens[j] for j in rows[i].columns]
    return dict(zip(names, rows[i].log_probs.tolist(), strict=True))


def edges(rows: PartialRows, i: int) -> tuple[float, float]:
    return math.exp(rows[i].rest), math.exp(rows[i].cap)


def entry(token: str, log_prob: Any, *top: Any, raw: Any = None, **more: Any) -> dict[str, Any]:
    found = {"token": token, "logprob": log_prob, "bytes": raw, **more}
    return {**found, "top_logprobs": list(top)} if top else found
