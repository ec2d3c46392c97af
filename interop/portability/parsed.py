"""What parsers of Python's make of a file: `toml`, `yaml`, or JSON that a schema of JSON Schema's has to accept.

parsed.py toml FILE, parsed.py yaml FILE, parsed.py json FILE SCHEMA. The value goes to the standard output as
JSON.
"""

import json
import pathlib
import sys

kind, text = sys.argv[1], pathlib.Path(sys.argv[2]).read_text(encoding="utf-8")
if kind == "toml":
    import tomllib

    value = tomllib.loads(text)
elif kind == "yaml":
    import yaml

    value = yaml.safe_load(text)
else:
    import jsonschema

    value = json.loads(text)
    schema = json.loads(pathlib.Path(sys.argv[3]).read_text(encoding="utf-8"))
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    validator(schema).validate(value)
print(json.dumps(value))
