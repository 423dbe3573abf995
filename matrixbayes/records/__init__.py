"""Rows from records: what servers, APIs and evaluators wrote down of a model they ran.

Contents
    from_openai       Chat completions, Responses and Completions of OpenAI and of servers like it
    from_vllm         vLLM, in Python and its server

Each reads objects, dictionaries, JSON, files, and any iterable of these, and gives rows known in
part.
"""

from .openai import from_openai
from .vllm import from_vllm

__all__ = [
    "from_openai",
    "from_vllm",
]
