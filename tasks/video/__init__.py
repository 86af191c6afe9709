"""Media functions: decoding, scene detection, sampling, hashing, encoding.

They know neither rows nor the database. Only the stages and the other folders of tasks/ use them.
"""
