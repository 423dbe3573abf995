"""A text, token by token: where a model is surprised, unsure, or not what a posterior says.

Contents
    show_tokens    the text with each token coloured
    TokenView      the result: HTML, plain text, a table, a picture
"""

from .show import show_tokens
from .view import TokenView

__all__ = ["TokenView", "show_tokens"]
