"""Reference client of Fieldgate: what a phone does, in Python."""
