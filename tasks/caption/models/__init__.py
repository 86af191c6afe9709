"""What captioners are made of: weights of published folders, language models, pictures prepared as published."""
