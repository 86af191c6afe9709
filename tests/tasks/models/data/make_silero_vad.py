"""Makes silero_vad.json, once, with torch and the published package.

Not part of the tests: they only read what this wrote. In an environment of its own::

    pip install torch==2.13.0 onnxruntime==1.32.0 "numpy<2" packaging
    pip install --no-deps --target published silero-vad==6.2.3
    python tests/tasks/models/data/make_silero_vad.py published VOICE.npy

VOICE.npy is what `voice()` of small_networks.py draws.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import numpy as np
import torch

published, drawn_voice = sys.argv[1:]
sys.path.insert(0, published)
from silero_vad import (  # noqa: E402
    get_speech_timestamps,
    get_speech_timestamps_from_probs,
    load_silero_vad,
)

network = load_silero_vad(onnx=True)
sound = torch.from_numpy(np.load(drawn_voice))
found = get_speech_timestamps(sound, network)
network.reset_states()
likely = network.audio_forward(sound, 16000)[0]
chance = random.Random(0)
cases = []
for _ in range(40):
    value, walk = 0.5, []
    for _ in range(chance.randint(1, 60)):
        value = min(1.0, max(0.0, value + chance.gauss(0, 0.3)))
        walk.append(round(value, 2))
    length = 512 * len(walk) - chance.randint(0, 511)
    threshold = chance.choice([0.1, 0.3, 0.5, 0.7])
    stretches = get_speech_timestamps_from_probs(
        walk, threshold=threshold, audio_length_samples=length
    )
    cases.append([walk, threshold, length, [[one["start"], one["end"]] for one in stretches]])
made = {
    "voice": [round(float(value), 6) for value in likely],
    "stretches": [[one["start"], one["end"]] for one in found],
    "cases": cases,
}
Path(__file__).with_name("silero_vad.json").write_text(json.dumps(made) + "\n")
