"""What each benchmark is told on its command line."""

import argparse


def parser(about: str | None, runs: int = 5) -> argparse.ArgumentParser:
    """Return a parser that has `--runs`; `about` is the module's docstring."""
    made = argparse.ArgumentParser(description=(about or "").partition("\n\n")[0])
    made.add_argument("--runs", type=int, default=runs)
    return made
