"""A picture of a head."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..._base.display.pictures import shares

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..heads import Head


def head_norms(head: Head, *, ax: Axes | None = None) -> Axes:
    """The norms of the rows of a head's matrix: the share of tokens whose norm is no larger.

    Parameters
    ----------
    head
        From `head_of`.
    ax
        Where to draw; a new figure without it.
    """
    norms = np.sqrt(np.square(head.matrix, dtype=np.float64).sum(axis=1))
    title = f"{head.kind} head, {len(norms)} tokens"
    return shares({"": norms}, xlabel="norm of its row", of="tokens", title=title, ax=ax)
