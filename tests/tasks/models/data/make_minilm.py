"""Makes minilm.json, once, with torch and transformers' BertModel.

Not part of the tests: they only read what this wrote. In an environment of its own::

    pip install torch==2.13.0 transformers==4.57.1 "numpy<2"
    curate models fetch all-minilm-l6-v2                  # in that of the tests
    python -c "from tests import tiny; tiny.write_minilm(…)"
    python tests/tasks/models/data/make_minilm.py RANDOM MODELS/all-minilm-l6-v2

A text is prepared as sentence-transformers does it: 256 tokens, the mean of all, unit length.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import torch
from transformers import BertModel, BertTokenizer, PreTrainedTokenizerFast

HERE = Path(__file__)
texts = json.loads(HERE.with_name("sentences.json").read_text())
made = {}
for name, folder in zip(("random", "published"), sys.argv[1:], strict=True):
    network = BertModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.float64)
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=f"{folder}/tokenizer.json")
    tokenizer.pad_token = "[PAD]"
    inputs = tokenizer(
        texts, max_length=256, truncation=True, padding="longest", return_tensors="pt"
    )
    words = json.loads(Path(folder, "tokenizer.json").read_text())["model"]["vocab"]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as vocabulary:
        vocabulary.write("\n".join(sorted(words, key=words.get)))
        vocabulary.flush()
        slow = BertTokenizer(vocabulary.name)(texts, max_length=256, truncation=True)
    for ids, row in zip(slow["input_ids"], inputs["input_ids"].tolist(), strict=True):
        assert row[: len(ids)] == ids, "transformers' own tokenizer gives the same"
    with torch.no_grad():
        mask = inputs["attention_mask"]
        states = network.eval()(inputs["input_ids"], mask).last_hidden_state
    means = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    units = torch.nn.functional.normalize(means)
    cosines = (units @ units.T).tolist()
    made[name] = {
        "tokens": mask.sum(1).tolist(),
        "parts": [[round(float(n), 7) for n in unit[::16]] for unit in units],
        "cosines": [[round(n, 6) for n in row[:place]] for place, row in enumerate(cosines)],
    }
HERE.with_name("minilm.json").write_text(json.dumps(made) + "\n")
