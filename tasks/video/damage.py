"""Whether a clip's file can still be decoded, all of it."""

from __future__ import annotations

from curate.configs.row_errors import MediaError
from curate.tasks.inputs.extensions import is_image


def damage_of(path: str, frames: int | None) -> str:
    """What is wrong with the file of a clip that should have so many frames (None: not known), in
    words; empty when all of it can be decoded.

    Only what breaks the stream is seen: H.264 has no checksum, so a picture may be wrong unnoticed.
    Still images are not looked at. Raises ServiceError when a store does not answer.
    """
    if is_image(path):
        return ""
    from av.error import FFmpegError

    from curate.tasks.video.decode import open_media, video_stream

    found = 0
    try:
        with open_media(path) as container:
            stream = video_stream(container)
            stream.codec_context.options = {"err_detect": "explode+crccheck+bitstream+buffer"}
            for packet in container.demux(stream):
                pictures = packet.decode()
                if packet.is_corrupt or any(picture.is_corrupt for picture in pictures):
                    return "a picture is corrupt"
                found += len(pictures)
    except MediaError as error:
        return str(error.fields.get("why") or error)
    except FFmpegError as error:
        return str(error.strerror or error).lower()
    return f"{found} frames instead of {frames}" if frames is not None and found < frames else ""
