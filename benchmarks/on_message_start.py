"""What the first ping of an environment waits for, beside a function made of the usual packages.

    python -m benchmarks.on_message_start

Both are imported, built and asked once in fresh interpreters, in turns, with bytecode that is
compiled already, as the layer's is; the interpreter's own start, which Lambda's runtime has behind
it, is not in it. Medians of 7. Exit code 1 when the ping takes more than a third of the reference,
or loads what it has no need of; tried again, since the machine may be busy.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

RUNS = 7
TRIES = 3  # to find the machine idle
MOST_SHARE = 1 / 3
UNNEEDED = {"sqlalchemy", "pg8000", "pydantic", "fastapi", "boto3", "aws_lambda_powertools", "ssl"}
_ROOT = Path(__file__).parents[1]

ON_MESSAGE = """
from realtime.on_message import handler
event = {"requestContext": {"connectionId": "JKJaXmPLvHcCEhQ="}, "body": '{"type":6}\\x1e'}
assert handler(event, None)["body"] == '{"type":6}\\x1e'
"""
# FastAPI, Mangum, SQLAlchemy's ORM, boto3's S3 client and Powertools' logger.
REFERENCE = """
import boto3
from aws_lambda_powertools import Logger
from fastapi import FastAPI
from mangum import Mangum
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

class Base(DeclarativeBase):
    pass

class Connection(Base):
    __tablename__ = "connections"
    id: Mapped[str] = mapped_column(primary_key=True)

app = FastAPI()

@app.post("/ping")
async def ping() -> dict[str, int]:
    return {"type": 6}

handler = Mangum(app, lifespan="off")
session = Session(create_engine("postgresql+pg8000://nobody@127.0.0.1/nowhere"))
s3 = boto3.client("s3", region_name="af-south-1")
logger = Logger(service="reference")
"""
TIMED = """
import sys, time
began = time.perf_counter()
exec(compile({program!r}, "program", "exec"))
took = time.perf_counter() - began
import json
print(json.dumps([took * 1000, sorted({{name.partition(".")[0] for name in sys.modules}})]))
"""


def main() -> int:
    for name, program in (("ping", ON_MESSAGE), ("reference", REFERENCE)):
        run(program)  # compiles what isn't yet
        print(f"{name}: {len(run(program)[1])} top-level modules")
    for _ in range(TRIES):
        ping, reference = measure()
        share = ping / reference
        print(f"ping {ping:.1f} ms, reference {reference:.0f} ms: {share:.0%} of it")
        if share <= MOST_SHARE:
            break
    else:
        print(f"more than {MOST_SHARE:.0%} of the reference")
        return 1
    if unneeded := UNNEEDED & set(run(ON_MESSAGE)[1]):
        print(f"a ping loads {', '.join(sorted(unneeded))}")
        return 1
    return 0


def measure() -> tuple[float, float]:
    """Return the medians of both, in milliseconds."""
    runs = [(run(ON_MESSAGE)[0], run(REFERENCE)[0]) for _ in range(RUNS)]
    pings, references = zip(*runs, strict=True)
    return statistics.median(pings), statistics.median(references)


def run(program: str) -> tuple[float, list[str]]:
    """Have a fresh interpreter run `program`; return its milliseconds and what is loaded then."""
    done = subprocess.run(
        [sys.executable, "-c", TIMED.format(program=program)],
        cwd=_ROOT,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{_ROOT / 'functions'}:{_ROOT / 'layers/common'}",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        },
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    milliseconds, loaded = json.loads(done.stdout)
    return milliseconds, loaded


if __name__ == "__main__":
    sys.exit(main())
