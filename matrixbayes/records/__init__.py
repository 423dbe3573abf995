"""Rows from records: what servers, APIs and evaluators wrote down of a model they ran.

Contents
    from_openai       Chat completions, Responses and Completions of OpenAI and of servers like it
    from_vllm         vLLM, in Python and its server
    from_sglang       SGLang
    from_tgi          Text Generation Inference
    from_ollama       Ollama
    from_llama_cpp    llama.cpp's server
    LogitsFile        rows over the whole vocabulary that llama.cpp's perplexity tool wrote
    from_inspect      logs of Inspect AI
    from_lm_eval      documents of lm-evaluation-harness: rows over choices
    from_topk         columns of ids, log-probabilities and the rest
    from_samples      texts: counts of answers

Each reads objects, dictionaries, JSON, files, and any iterable of these, and gives rows known in
part.
"""

from .inspect_ai import from_inspect
from .llama_cpp import from_llama_cpp
from .lm_eval import from_lm_eval
from .logits_file import LogitsFile
from .ollama import from_ollama
from .openai import from_openai
from .samples import AnswerCounts, from_samples
from .sglang import from_sglang
from .tgi import from_tgi
from .topk import from_topk
from .vllm import from_vllm

__all__ = [
    "AnswerCounts",
    "LogitsFile",
    "from_inspect",
    "from_llama_cpp",
    "from_lm_eval",
    "from_ollama",
    "from_openai",
    "from_samples",
    "from_sglang",
    "from_tgi",
    "from_topk",
    "from_vllm",
]
