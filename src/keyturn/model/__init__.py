"""Nouns: the settings people fill in, and the things themselves. No I/O, no SQL, no web."""
