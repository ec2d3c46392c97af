"""mcp-registry-cli, a client of registries by somebody else, at the registry that is named.

registry.py BASE list [--search TEXT] ...    what its command line prints
registry.py BASE versions NAME               what its interface for programs gives, as JSON

The client knows one registry, and asks at the copy of the interface that still moves (v0). Both are changed
here: where it asks, and that it asks at the one that is frozen (v0.1). What it makes of the answers is its own.
"""

import dataclasses
import json
import sys

from mcp_registry_cli import api, cli
from requests.adapters import HTTPAdapter

BASE = sys.argv[1]


class Frozen(HTTPAdapter):
    """Asks at v0.1 what is to be asked at v0."""

    def send(self, request, **options):
        request.url = request.url.replace(f"{BASE}/v0/", f"{BASE}/v0.1/", 1)
        return super().send(request, **options)


api.MCPRegistryAPI.BASE_URL = BASE
cli.api.session.mount("http://", Frozen())

if sys.argv[2] == "versions":
    found = cli.api.get_server_versions(sys.argv[3])
    print(json.dumps([dataclasses.asdict(server) for server in found]))
else:
    cli.main(sys.argv[2:], standalone_mode=False)
