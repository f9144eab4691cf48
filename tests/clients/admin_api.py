"""Schemathesis over the description of the admin API: whatever it thinks of asking, the answer is one that the description
names. The test says where the description is, by which token to ask, and which ids are there; each line is JSON."""

import json
import os
import pathlib
import sys
import tempfile

import schemathesis
from schemathesis.cli import schemathesis as program

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
]


@schemathesis.deserializer("application/x-ndjson")
def lines(_context, response):
    return [json.loads(line) for line in response.content.splitlines()][-1]


def main():
    facts = json.loads(sys.stdin.readline())
    with tempfile.TemporaryDirectory() as folder:
        # What it remembers of this run goes with it.
        os.chdir(folder)
        settings = pathlib.Path(folder) / "schemathesis.toml"
        known = "".join(f"{name} = {json.dumps(values)}\n" for name, values in facts["known"].items())
        settings.write_text(f"[parameters]\n{known}")
        arguments = [
            "--config-file", str(settings), "run", facts["description"],
            "--header", f"Authorization: Bearer {facts['token']}",
            "--checks", ",".join(CHECKS), "--phases", "coverage,fuzzing", "--max-examples", str(facts["examples"]),
            "--generation-with-security-parameters", "false", "--generation-database", "none",
            "--seed", str(facts["seed"]), "--no-color", "--continue-on-failure",
        ]
        told, sys.stdout = sys.stdout, sys.stderr
        try:
            program(arguments)
            code = 0
        except SystemExit as end:
            code = end.code
        print(json.dumps({"code": code}), file=told, flush=True)


main()
