"""Names in double braces, which are filled in when an item is asked."""

import re

PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")
"""``{{name}}`` in a text: ``nonce``, a group's attribute, or one of the item's ``vars``."""

NONCES = ("nonce", "nonce_a", "nonce_b")
"""A text that nobody can guess, and its halves: asked to write them together, a model that merely quotes the order does not do it."""
