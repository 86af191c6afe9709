"""`hunyuanvideo`: the list of opensora_pku, as HunyuanVideo's trainer reads it too."""

from __future__ import annotations

from curate.export.formats.opensora_pku import OpenSoraPku


class HunyuanVideo(OpenSoraPku):
    """The same list."""

    name = "hunyuanvideo"
    reader = "mindone's hunyuanvideo (a line FOLDER,videos.json in its dataset file)"
