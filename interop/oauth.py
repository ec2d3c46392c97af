"""A program on the Python SDK that signs its user in: `oauth.py URL REDIRECT MODE`.

It says `open ADDRESS` where its user is to go, reads the address that he came back to, and says `tools N` at the
end; then once more, after its token has expired, and nobody is to be asked.
"""

import asyncio
import sys
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp.client import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata


class Storage:
    """What the program keeps, in memory."""

    tokens = None
    client_info = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client_info

    async def set_client_info(self, client_info):
        self.client_info = client_info


async def open_browser(url: str) -> None:
    print("open", url, flush=True)


async def came_back() -> AuthorizationCodeResult:
    line = await asyncio.to_thread(sys.stdin.readline)
    query = {name: values[0] for name, values in parse_qs(urlsplit(line.strip()).query).items()}
    return AuthorizationCodeResult(code=query["code"], state=query.get("state"), iss=query.get("iss"))


async def tools(url: str, mode: str, auth: OAuthClientProvider) -> int:
    async with httpx2.AsyncClient(auth=auth) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            return len((await client.list_tools()).tools)


async def main(url: str, redirect: str, mode: str) -> None:
    metadata = OAuthClientMetadata(client_name="A program in Python", redirect_uris=[redirect])
    auth = OAuthClientProvider(url, metadata, Storage(), open_browser, came_back)
    print("tools", await tools(url, mode, auth), flush=True)
    # It renews what has expired by its own clock; whatever else is refused, it begins anew.
    auth.context.token_expiry_time = 1
    before = auth.context.current_tokens
    print("tools", await tools(url, mode, auth), flush=True)
    assert auth.context.current_tokens.refresh_token != before.refresh_token


asyncio.run(main(*sys.argv[1:]))
