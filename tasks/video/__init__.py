"""Media functions without a database: reading, detecting, sampling, hashing, encoding."""
