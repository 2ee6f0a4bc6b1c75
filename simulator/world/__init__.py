"""Seeded worlds: the real rules and messages in a world that loses, repeats, kills and replaces."""
