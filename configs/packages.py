"""What to install for work that curate can do without: all advice to install comes from here.

No package is named after what another program says: a stranger may own that name. Nor is curate's
own name, which is not on the registry: an extra is told by what it holds in pyproject.toml.
"""

from __future__ import annotations

import shlex

_EXTRAS = {
    "captions": ("ftfy>=6.3", "py3langid>=0.2.2"),
    "http": ("aiohttp>=3.9",),
    "mindspore": (
        "mindspore>=2.10,<2.11",
        "numpy<2",
        "opencv-python-headless<4.12",
        "pandas<3.1",
        "transformers==4.57.1",
        "safetensors>=0.4",
        "tokenizers>=0.22",
        "sentencepiece>=0.2.1",
    ),
    "ocr": ("rapidocr>=3.4", "onnxruntime>=1.20"),
    "parquet": ("pyarrow>=17,<26",),
    "postgres": ("psycopg[binary]>=3.2",),
    "s3": ("s3fs>=2025.2",),
}

# the packages by which fsspec opens URLs, by protocol; of an extra where there is one
_STORES = {
    "abfs": "adlfs",
    "az": "adlfs",
    "gcs": "gcsfs",
    "gs": "gcsfs",
    "hf": "huggingface_hub",
    "http": "aiohttp",
    "https": "aiohttp",
    "s3": "s3fs",
    "s3a": "s3fs",
    "sftp": "paramiko",
    "smb": "smbprotocol",
    "ssh": "paramiko",
    "webdav": "webdav4",
    "webhdfs": "requests",
}


def install(*packages: str) -> str:
    """The command that installs packages; each may have versions, as in pyproject.toml."""
    return f"pip install {shlex.join(packages)}"


def install_extra(extra: str) -> str:
    """The command that installs what an extra of pyproject.toml holds."""
    return install(*_EXTRAS[extra])


def store_package(protocol: str) -> str | None:
    """The package by which fsspec opens URLs of a protocol; None when curate knows of none."""
    return _STORES.get(protocol)


def install_store(protocol: str) -> str:
    """The command that installs the package of a protocol. Raises KeyError for an unknown one."""
    package = _STORES[protocol]
    held = (r for names in _EXTRAS.values() for r in names if r.startswith(f"{package}>"))
    return install(next(held, package))


def known_protocols() -> str:
    """The protocols that `store_package` knows, in words."""
    return ", ".join(sorted(_STORES))
