"""What the captioners' authors ask about a clip. Imports nothing, for the stages' options name it."""

PLLAVA = "Describe the video in detail."
SHAREGPT4V = "Describe this image in detail."
QWEN = "Describe this video in detail."
