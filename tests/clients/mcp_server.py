"""FastMCP as the MCP server behind a sidecar: it says its address, and keeps a list of the tools that were called."""

import asyncio
import json
import socket

import uvicorn
from fastmcp import Context, FastMCP
from starlette.responses import JSONResponse

server = FastMCP("behind a sidecar")
called = []


@server.tool
def look(instance: str = "") -> str:
    """Looks."""
    called.append("look")
    return f"looked at {instance}"


@server.tool
def change(instance: str = "") -> str:
    """Changes."""
    called.append("change")
    return f"changed {instance}"


@server.tool
def hidden(instance: str = "") -> str:
    """No scope gives it."""
    called.append("hidden")
    return f"hidden {instance}"


@server.tool
async def watch(context: Context) -> str:
    """Tells of its progress for a minute, or until nobody listens."""
    called.append("watch")
    for step in range(600):
        await context.report_progress(step)
        await asyncio.sleep(0.1)
    return "nothing to see"


@server.custom_route("/_called", methods=["GET"])
async def tell(_request):
    """The tools that were called, in their order."""
    return JSONResponse(called)


@server.prompt
def ask() -> str:
    """Asks."""
    return "Look at everything."


@server.resource("demo://guide")
def guide() -> str:
    """A document."""
    return "Look first."


@server.prompt
def hidden_prompt() -> str:
    """A rule forbids it."""
    return "Look away."


@server.resource("demo://hidden")
def hidden_guide() -> str:
    """A rule forbids it."""
    return "Look away."


listener = socket.socket()
listener.bind(("127.0.0.1", 0))
print(json.dumps({"url": f"http://127.0.0.1:{listener.getsockname()[1]}"}), flush=True)
uvicorn.Server(uvicorn.Config(server.http_app(path="/mcp"), log_level="error")).run(sockets=[listener])
