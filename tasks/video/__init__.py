"""Media functions: decoding, scene detection, sampling, hashing, encoding.

They know neither rows nor the database. The stages, the other folders of tasks/, view and cli
import them.
"""
