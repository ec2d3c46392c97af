"""FastMCP reads clients' files, lists the tools of each server in them, and makes calls.

The argument is a JSON map of files to lists of [server, tool, arguments]. What came of it goes to the standard
output as JSON, by file and by server.
"""

import asyncio
import json
import pathlib
import sys

from fastmcp import Client
from fastmcp.mcp_config import MCPConfig


async def look(file, wanted):
    config = MCPConfig.from_file(pathlib.Path(file))
    found = {}
    for name, server in config.mcpServers.items():
        async with Client(MCPConfig(mcpServers={name: server})) as client:
            tools = sorted(tool.name for tool in await client.list_tools())
            calls = []
            for of, tool, arguments in wanted:
                if of == name:
                    result = await client.call_tool(tool, arguments)
                    calls.append("".join(block.text for block in result.content))
        said = server.model_dump(mode="json", exclude_defaults=True)
        found[name] = {"server": said, "tools": tools, "calls": calls}
    return found


async def main():
    return {file: await look(file, wanted) for file, wanted in json.loads(sys.argv[1]).items()}


print(json.dumps(asyncio.run(main())))
