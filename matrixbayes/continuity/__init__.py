"""Do close embeddings give close next-token distributions?  Where does the map tear, and which
hypothesis does it meet?

Contents
    check_continuity    modulus of continuity, ratios, discontinuities, affine test: a report
    affine_test         convexity preservation, with its degrees of freedom
    probe_segment       a head between two states
    head_bound          observed distances against what the head allows
    span_of             the softmax bottleneck
    EmbeddingMap        embeddings and their rows: distances of pairs
"""

# Where version 0.1.0 had them.
from ..huggingface.heads import head_of as head_of
from ..huggingface.inside.inputs import embed_of as embed_of
from .affine import AffineTest, affine_test
from .check import check_continuity
from .embedding import EMBEDDING_METRICS, ROW_METRICS, EmbeddingMap, Pairs
from .heads import HeadBound, SegmentProbe, head_bound, probe_segment
from .report import ContinuityReport
from .span import SoftmaxSpan, span_of

__all__ = [
    "EMBEDDING_METRICS",
    "ROW_METRICS",
    "AffineTest",
    "ContinuityReport",
    "EmbeddingMap",
    "HeadBound",
    "Pairs",
    "SegmentProbe",
    "SoftmaxSpan",
    "affine_test",
    "check_continuity",
    "head_bound",
    "probe_segment",
    "span_of",
]
