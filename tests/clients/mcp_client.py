"""The MCP Python SDK as a client: from nothing but a server's address through discovery, registration and
authorization to tool calls. The test plays the person who authorizes, and says what to do next; each line is JSON."""

import asyncio
import json
import sys
from urllib.parse import parse_qs, urlsplit

from mcp.client import Client
from mcp.client.auth import OAuthClientProvider, TokenStorage
from mcp.client.auth.oauth2 import AuthorizationCodeResult
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata


async def hear():
    line = await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    return json.loads(line)


def tell(value):
    print(json.dumps(value), flush=True)


class Kept(TokenStorage):
    """What a program keeps between its runs."""

    def __init__(self):
        self.tokens = None
        self.client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client_info):
        self.client = client_info


async def show(address):
    tell({"authorize": address})


async def returned():
    redirect = (await hear())["redirect"]
    one = {name: values[0] for name, values in parse_qs(urlsplit(redirect).query).items()}
    return AuthorizationCodeResult(code=one["code"], state=one.get("state"), iss=one.get("iss"))


async def obey(client, order):
    if order["do"] == "list":
        return {"tools": [tool.name for tool in (await client.list_tools()).tools]}
    if order["do"] == "prompts":
        return {"prompts": [prompt.name for prompt in (await client.list_prompts()).prompts]}
    if order["do"] == "resources":
        return {"resources": [str(one.uri) for one in (await client.list_resources()).resources]}
    if order["do"] == "call":
        result = await client.call_tool(order["tool"], {"instance": "i-1"})
        return {"content": [json.loads(part.model_dump_json()) for part in result.content]}
    if order["do"] == "get":
        await client.get_prompt(order["prompt"])
        return {"got": True}
    if order["do"] == "read":
        await client.read_resource(order["uri"])
        return {"got": True}
    seen = 0

    async def progress(*_):
        nonlocal seen
        seen += 1
        if seen == 2:
            tell({"watching": True})

    await client.call_tool(order["tool"], {}, progress_callback=progress, read_timeout_seconds=60)
    return {"ended": True}


def innermost(error):
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def told(error):
    error = innermost(error)
    inner = getattr(error, "error", None)
    return {
        "error": {
            "code": getattr(inner, "code", None),
            "message": str(error),
            "data": getattr(inner, "data", None),
            "kind": type(error).__name__,
        }
    }


async def main():
    facts, kept = await hear(), Kept()
    metadata = OAuthClientMetadata(
        client_name="Consentry test",
        redirect_uris=[facts["redirect_uri"]],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        token_endpoint_auth_method="none",
    )
    if facts.get("client_id"):
        known = metadata.model_dump()
        kept.client = OAuthClientInformationFull(**{**known, "client_id": facts["client_id"]})
    provider = OAuthClientProvider(
        facts["server"], metadata, kept, show, returned, client_metadata_url=facts.get("document")
    )
    try:
        async with create_mcp_http_client(auth=provider) as http:
            transport = streamable_http_client(facts["server"], http_client=http)
            async with Client(transport, mode=facts.get("mode") or "auto") as client:
                refresh = bool(kept.tokens and kept.tokens.refresh_token)
                tell({"connected": True, "client_id": kept.client.client_id, "refresh": refresh})
                while (order := await hear())["do"] != "end":
                    try:
                        tell(await obey(client, order))
                    except Exception as error:  # noqa: BLE001
                        tell(told(error))
    except BaseException as error:  # noqa: BLE001
        tell(told(error))


asyncio.run(main())
