"""A page as one file: only what stands in it may run."""

from __future__ import annotations

import base64
import hashlib

from curate.view.single_file import SingleFile


def test_the_policy_names_what_is_in_the_page_and_nothing_else() -> None:
    file = SingleFile("media-src file:")
    assert file.script("go();") == "<script>go();</script>"
    digest = base64.b64encode(hashlib.sha256(b"go();").digest()).decode()
    policy = file.policy()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "media-src file:" in policy
    assert "style-src" not in policy
