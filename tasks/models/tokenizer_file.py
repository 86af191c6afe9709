"""Reads a tokenizer.json. The package `tokenizers` is imported only when needed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from curate.configs.errors import BadModel, PackageMissing
from curate.configs.packages import install


def check_tokenizers(what: str) -> None:
    """Raise PackageMissing if tokenizers, which `what` needs, is not installed.

    Does not import it.
    """
    if importlib.util.find_spec("tokenizers") is None:
        how = install("tokenizers")
        raise PackageMissing(what=what, package="tokenizers", install=how)


def read_tokenizer(file: Path) -> Any:
    """The `tokenizers.Tokenizer` of a file.

    Raises BadModel; ImportError if the package is not installed.
    """
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_str(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadModel(path=file, why=error.strerror or str(error)) from error
    except Exception as error:  # tokenizers raises nothing more precise
        raise BadModel(path=file, why=f"it is no tokenizer: {str(error)[:200]}") from error
