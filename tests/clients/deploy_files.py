"""Reads a file of deploy/ from standard input as the tools do that will read it, and prints it as one line of JSON.

kubernetes  rendered objects of sites with form feeds between them, held against the strict schemas of two versions
compose     held against the schema of the Compose specification that docker-compose carries
dockerfile  the instructions of a Dockerfile
"""

import importlib.util
import io
import json
import pathlib
import sys

import yaml


def kubernetes(text):
    import kubernetes_validate

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    sites = [[found for found in yaml.load_all(site, loader) if found] for site in text.split("\f")]
    # Sites have most of their objects in common.
    for found in {json.dumps(found, sort_keys=True): found for site in sites for found in site}.values():
        for version in ("1.33", "1.37"):  # the oldest that deploy/ promises, and the newest that is known here
            kubernetes_validate.validate(found, version, strict=True)
    return sites


def compose(text):
    import jsonschema

    found = yaml.safe_load(text)
    # Only the schema is used: the program around it wants packages that no longer build.
    package = pathlib.Path(importlib.util.find_spec("compose").origin).parent
    schema = json.loads((package / "config" / "compose_spec.json").read_text())
    older = {key: value for key, value in found.items() if key != "name"}  # the schema is older than that key
    jsonschema.validate(older, schema, format_checker=jsonschema.FormatChecker())
    return found


def dockerfile(text):
    import dockerfile_parse

    parser = dockerfile_parse.DockerfileParser(fileobj=io.BytesIO(text.encode()))
    return [{"instruction": one["instruction"], "value": one["value"]} for one in parser.structure]


kind = {"kubernetes": kubernetes, "compose": compose, "dockerfile": dockerfile}[sys.argv[1]]
print(json.dumps(kind(sys.stdin.read())))
