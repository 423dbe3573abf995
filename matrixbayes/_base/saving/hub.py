"""What has a file, on the HuggingFace hub or in a folder.

Contents
    Hosted    a type whose file is pushed there, and read from there

The hub's own library does it, where it is installed; a folder needs no library and no network.  A
file from there is data: whatever it holds, it is read and refused as any other.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any, ClassVar, Self

from .. import files
from .made import BY

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
CARD = "README.md"


class Hosted:
    """A type that `save` writes to one safetensors file."""

    __slots__ = ()

    _file: ClassVar[str]  # what that file is called there

    def push_to_hub(
        self,
        repo_id: str,
        *,
        revision: str | None = None,
        private: bool | None = None,
        token: str | bool | None = None,
        commit_message: str | None = None,
        create_pr: bool = False,
        card: str | bool = True,
    ) -> str:
        """Put the file, with a page that says what it is, into a repository of the HuggingFace hub.

        The file says how it was made and where the rows came from that it was made of, paths of
        files among it.

        Parameters
        ----------
        repo_id : str
            ``"name"`` or ``"owner/name"``; the repository is made where it is missing.
        revision : str, optional
            The branch; the main one by default.
        private : bool, optional
            Of a new repository.
        token : str or bool, optional
            As for huggingface_hub; by default the one that is logged in.
        commit_message : str, optional
        create_pr : bool
            Ask for it to be merged, instead of doing it.
        card : str or bool
            The page, README.md: one that is made of the file, a text, or none: what is there stays.

        Returns
        -------
        str
            The address of the commit.

        Raises
        ------
        ImportError
            huggingface_hub is not installed.

        See Also
        --------
        from_pretrained : reads it, from there or from a folder.
        """
        hub = _library("push_to_hub")
        api = hub.HfApi(token=token)
        made = api.create_repo(repo_id, private=private, exist_ok=True)
        name = getattr(made, "repo_id", repo_id)  # with the owner
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, self._file)
            self.save(path)  # type: ignore[attr-defined]
            if card is not False:
                text = _card(self, path, name) if card is True else card
                Path(folder, CARD).write_text(text, encoding="utf-8")
            found = api.upload_folder(
                repo_id=name,
                folder_path=folder,
                revision=revision,
                commit_message=commit_message or f"{type(self).__name__} of {BY}",
                create_pr=create_pr,
            )
        return str(getattr(found, "commit_url", found))

    @classmethod
    def from_pretrained(
        cls,
        repo_or_folder: str | os.PathLike[str],
        *,
        revision: str | None = None,
        filename: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
    ) -> Self:
        """Read what `push_to_hub` put on the HuggingFace hub, or `save` into a folder.

        Every number is checked as in any other file: nothing that is read can run code.

        Parameters
        ----------
        repo_or_folder : str or path
            ``"owner/name"``; or a folder, which is read without the network.
        revision : str, optional
            A branch, tag or commit of the repository: a commit says the same forever.
        filename : str, optional
            Which file.  By default what `push_to_hub` calls it, or the only safetensors file of a
            folder.
        token, cache_dir, local_files_only : optional
            As for huggingface_hub.

        Raises
        ------
        ValueError
            The file is damaged, or holds something else.
        FileNotFoundError
            There is no such folder, or no such file in it.
        ImportError
            huggingface_hub is not installed, and it is no folder.

        Examples
        --------
        >>> import os, tempfile, matrixbayes as mb
        >>> folder = tempfile.mkdtemp()
        >>> prior = mb.DirichletMixture([1.0], [[2.0, 3.0]])
        >>> prior.save(os.path.join(folder, "prior.safetensors"))
        >>> mb.DirichletMixture.from_pretrained(folder) == prior
        True
        """
        folder = Path(repo_or_folder)
        if folder.is_dir():
            path = _in_folder(folder, filename, cls._file)
        elif isinstance(repo_or_folder, str) and REPOSITORY.fullmatch(repo_or_folder):
            path = _library("from_pretrained").hf_hub_download(
                repo_or_folder,
                filename or cls._file,
                revision=revision,
                token=token,
                cache_dir=cache_dir,
                local_files_only=local_files_only,
            )
        else:
            raise FileNotFoundError(
                f"{os.fspath(repo_or_folder)} is no folder, and no name of a repository, "
                "'owner/name'"
            )
        read = cls.load if hasattr(cls, "load") else cls.open  # type: ignore[attr-defined]
        found: Self = read(path)
        return found


def _library(who: str) -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise ImportError(
            f'{who} needs huggingface_hub: pip install "matrixbayes[hub]", or pip install '
            "huggingface_hub"
        ) from error
    return huggingface_hub


def _in_folder(folder: Path, filename: str | None, usual: str) -> Path:
    """The file that is meant."""
    path = folder / (filename or usual)
    if filename is None and not path.is_file():
        there = sorted(folder.glob("*.safetensors"))
        if len(there) == 1:
            return there[0]
        names = ", ".join(each.name for each in there) or "none"
        raise FileNotFoundError(
            f"{folder} has no {usual}; of its safetensors files ({names}) filename= says which"
        )
    return path


def _card(thing: Any, path: Path, repo_id: str) -> str:
    """The page of a repository: what is in it, how that was made, and how to read it."""
    told, kind = files.describe(path), type(thing).__name__
    lines = [f"{told['made_by'] or 'an earlier version of matrixbayes'}, format {told['kind']}"]
    lines += [f"{name}: {told['shapes'][name]}, {told['dtypes'][name]}" for name in told["shapes"]]
    how = [f"{name}: {json.dumps(value)}" for name, value in told["made_with"].items()]
    load = [f"import matrixbayes as mb\n\nfound = mb.{kind}.from_pretrained({repo_id!r})"]
    return (
        inspect.cleandoc(
            f"""
        ---
        library_name: matrixbayes
        tags:
        - matrixbayes
        - bayesian
        - next-token-distributions
        ---
        # A {kind}

        {{said}}

        ## How it was made

        {{how}}

        ## How to read it

        {{load}}

        The file is `{path.name}`, in the safetensors format: numbers and a header, no code.
        """
        ).format(
            said=_block([repr(thing), "", *lines]),
            how=_block(how or ["Its file does not say."]),
            load=_block(load),
        )
        + "\n"
    )


def _block(lines: list[str]) -> str:
    """A block of code by indentation, which nothing in it can end."""
    return "\n".join(f"    {line}".rstrip() for text in lines for line in text.splitlines() or [""])
