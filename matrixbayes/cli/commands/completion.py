"""`completion`: what a shell asks to complete commands, options, choices and files."""

from __future__ import annotations

import argparse
from typing import Any

from ...errors import UsageError
from ..answers import Answer
from ..options import Commands, Parser, command

KEYS = ["shell", "script"]
FILES = ("FILE", "DIR", "MODEL", "ROWS", "TEXT", "MATRIX", "PATH", "GROUPS")
EPILOG = """\
bash:  source <(matrixbayes completion bash)       in ~/.bashrc
zsh:   matrixbayes completion zsh > _matrixbayes   in a folder of $fpath"""


def add(commands: Commands) -> None:
    """The command's options."""
    about = "the script that completes commands, options and files in a shell"
    parser = command(commands, "completion", run, help=about, keys=KEYS, epilog=EPILOG)
    parser.add_argument("shell", choices=["bash", "zsh"], help="which shell")


def run(options: Any) -> Answer:
    """The script for a shell."""
    try:
        import shtab
    except ImportError as error:
        raise UsageError("completion needs shtab: pip install 'matrixbayes[completion]'") from error
    script = shtab.complete(_with_files(options.root, shtab.FILE), shell=options.shell)
    return Answer(script.splitlines(), {"shell": options.shell, "script": script})


def _with_files(parser: Parser, files: Any) -> Parser:
    """The parser, whose arguments that are files say so."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                _with_files(each, files)
        elif action.metavar in FILES and action.choices is None:
            action.complete = files  # type: ignore[attr-defined]
    return parser
