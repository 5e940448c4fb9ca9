"""How often this process has waited for the database, for whoever asks what a piece of work cost.

Without any library, so that work without a database may ask as well.
"""

count = 0
