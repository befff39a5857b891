"""A tuner's run on a small net, and what it wrote."""

import json

from support import models, resnetc, run

model = models / "digits_resnet8.json"


def tune(db, *more, status=0):
    return run(resnetc(), "tune", model, "--db", db, "--threads", 2, *more, status=status)


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def trials(db):
    return lines(db.with_suffix(".trials.jsonl"))
