"""imagededup's own hashes, with no torch loaded and nothing left behind in sys.modules."""

from __future__ import annotations

import subprocess
import sys
from importlib.machinery import BuiltinImporter
from pathlib import Path

import numpy as np
import pytest

from curate.configs.errors import PackageMissing, ServiceError
from curate.tasks.video import hashing
from curate.tasks.video.hash_package import check_imagededup
from curate.tasks.video.hashing import FLAT, perceptual_hashes
from tests.media import Style, picture

METHODS = ("phash", "ahash", "dhash", "whash")


def distance(a: str, b: str) -> int:
    return (int(a, 16) ^ int(b, 16)).bit_count()


def reference_phash(gray: np.ndarray) -> str:
    """pHash of a 32x32 luma, by its definition (facts: seed-semantics 2.6)."""
    from scipy.fftpack import dct

    low = dct(dct(gray.astype(float), axis=0), axis=1)[:8, :8]
    bits = low >= np.median(np.ndarray.flatten(low)[1:])
    return np.packbits(bits).tobytes().hex()


@pytest.mark.parametrize("method", METHODS)
def test_a_hash_is_16_hex_characters_and_repeats(method: str) -> None:
    found = perceptual_hashes(picture(3), method)[0]
    assert found is not None and len(found) == 16
    assert int(found, 16) >= 0
    assert found == perceptual_hashes(picture(3), method)[0]


@pytest.mark.parametrize("method", METHODS)
def test_methods_tell_two_pictures_apart(method: str) -> None:
    a, b = (perceptual_hashes(picture(i, style="noise"), method)[0] for i in (3, 4))
    assert a is not None and b is not None and distance(a, b) > 2


@pytest.mark.parametrize("style", ["moving", "noise"])
def test_phash_is_the_published_one(style: Style) -> None:
    from PIL import Image

    for number in range(20):
        image = picture(number, style=style)
        small = Image.fromarray(image).resize((32, 32), Image.Resampling.LANCZOS).convert("L")
        assert perceptual_hashes(image, "phash")[0] == reference_phash(np.asarray(small))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dark", [0.0, 0.9])
def test_the_hash_of_the_mirror_image_is_that_of_the_mirrored_picture(
    method: str, dark: float
) -> None:
    """Also where most of the picture is black, and neighbours are neither brighter nor darker."""
    image = picture(3, size=(456, 256), style="noise")
    image[:, : round(456 * dark)] = 0
    turned = np.ascontiguousarray(image[:, ::-1])
    plain, mirrored = perceptual_hashes(image, method, mirror=True)
    assert mirrored is not None and plain is not None
    other, again = perceptual_hashes(turned, method, mirror=True)
    assert distance(mirrored, str(other)) <= 2
    assert distance(plain, str(again)) <= 2


def test_the_mirror_image_is_hashed_only_when_asked_for() -> None:
    plain, mirrored = perceptual_hashes(picture(3), "phash", mirror=True)
    assert mirrored is not None
    assert perceptual_hashes(picture(3), "phash") == (plain, None)


def test_a_smaller_copy_hashes_nearly_the_same() -> None:
    from PIL import Image

    large = picture(7, size=(960, 576))
    small = np.asarray(Image.fromarray(large).resize((426, 256)))
    a, b = perceptual_hashes(large, "phash")[0], perceptual_hashes(small, "phash")[0]
    assert a is not None and b is not None and distance(a, b) <= 4


@pytest.mark.parametrize("level", [0, 16, 128, 255])
def test_flat_pictures_have_no_hash(level: int) -> None:
    noise = (
        np.random.default_rng(0).normal(level, FLAT / 3, (64, 64, 1)).clip(0, 255).astype(np.uint8)
    )
    assert perceptual_hashes(np.repeat(noise, 3, axis=2), "phash", mirror=True) == (None, None)


def test_nothing_heavy_is_loaded_and_no_stand_in_stays() -> None:
    code = (
        "import sys, numpy as np\n"
        "from curate.tasks.video.hashing import perceptual_hashes\n"
        "assert perceptual_hashes(np.random.default_rng(0).integers(0, 255, (64, 64, "
        "3)).astype('uint8'), 'phash')[0]\n"
        "left = [m for m in ('torch', 'torchvision', 'matplotlib', 'sklearn', 'pandas', "
        "'scipy.special', 'scipy.fft', 'scipy.fftpack', 'pywt', 'tqdm', "
        "'imagededup.methods', 'imagededup.utils', 'imagededup.handlers.search.retrieval')"
        " if m in sys.modules]\n"
        "assert not left, left\n"
        "from scipy.fft import dctn; from scipy.fftpack import fft; from scipy import special\n"
        "import pywt; assert pywt.wavelist()\n"  # all that was stood in for is whole afterwards
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_missing_imagededup_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", [BuiltinImporter])
    for name in [n for n in sys.modules if n.partition(".")[0] == "imagededup"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(PackageMissing, match="pip install --no-deps imagededup"):
        check_imagededup()


def test_a_package_that_curate_does_not_know_is_not_advised(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "scipy.py").write_text("import what_a_stranger_wrote")
    hashing._hasher.cache_clear()
    monkeypatch.syspath_prepend(tmp_path)
    for name in [n for n in sys.modules if n.partition(".")[0] in ("scipy", "imagededup")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ServiceError, match="what_a_stranger_wrote") as caught:
        perceptual_hashes(picture(3), "phash")
    assert "pip install" not in str(caught.value)


def test_a_failed_import_leaves_no_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    hashing._hasher.cache_clear()
    monkeypatch.setitem(sys.modules, "pywt", None)  # makes `import pywt` fail
    before = set(sys.modules)
    with pytest.raises(PackageMissing, match="pip install pywavelets"):  # no package is called pywt
        perceptual_hashes(picture(3), "whash")
    stand_ins = {*hashing._PACKAGES, hashing._SEARCH, hashing._TRANSFORMS}
    assert not stand_ins & (set(sys.modules) - before)
