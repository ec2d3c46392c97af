"""LangChain's adapters for MCP read the file that is written for them, list each server's tools, and make calls.

The first argument is the file; then there is a JSON list of [server, tool, arguments]. What came of it goes to the
standard output as JSON, by server.
"""

import asyncio
import json
import sys

from langchain_mcp_adapters.client import MultiServerMCPClient


async def look(file, wanted):
    with open(file, encoding="utf-8") as text:
        connections = json.load(text)["mcpServers"]
    client = MultiServerMCPClient(connections)
    found = {}
    for name in connections:
        tools = {tool.name: tool for tool in await client.get_tools(server_name=name)}
        calls = []
        for of, tool, arguments in wanted:
            if of == name:
                blocks = await tools[tool].ainvoke(arguments)
                calls.append("".join(block["text"] for block in blocks))
        found[name] = {"tools": sorted(tools), "calls": calls}
    return found


print(json.dumps(asyncio.run(look(sys.argv[1], json.loads(sys.argv[2])))))
