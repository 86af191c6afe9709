"""The prompts of the captioners' authors, and the words that stand for frames.

Imports nothing, because stage files import it and every command imports those.
"""

PLLAVA = "Describe the video in detail."
SHAREGPT4V = "Describe this image in detail."
QWEN = "Describe this video in detail."
INTERNVL = QWEN

IMAGE = "<image>"  # in the conversation of PLLaVA and ShareGPT4V
TILE = "<IMG_CONTEXT>"  # in that of InternVL
VIDEO = "<|video_pad|>"  # in that of Qwen-VL
