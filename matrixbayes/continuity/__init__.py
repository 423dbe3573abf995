"""Is the map from embeddings to rows continuous, and where does it tear?"""

# Where version 0.1.0 had them.
from ..huggingface.heads import embed_of as embed_of
from ..huggingface.heads import head_of as head_of
from .affine import AffineTest, affine_test
from .check import check_continuity
from .embedding import EMBEDDING_METRICS, ROW_METRICS, EmbeddingMap, Pairs
from .heads import HeadBound, SegmentProbe, SoftmaxSpan, head_bound, probe_segment, span_of
from .report import ContinuityReport

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
