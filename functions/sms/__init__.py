"""Texts: sending them, and what became of them."""
