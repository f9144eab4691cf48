"""FastMCP as the MCP server behind a sidecar: it says its address, and keeps a list of the tools that were called."""

import json
import socket

import uvicorn
from fastmcp import FastMCP

server = FastMCP("behind a sidecar")


@server.tool
def look(instance: str = "") -> str:
    """Looks."""
    return f"looked at {instance}"


@server.tool
def change(instance: str = "") -> str:
    """Changes."""
    return f"changed {instance}"


@server.tool
def hidden(instance: str = "") -> str:
    """No scope gives it."""
    return f"hidden {instance}"


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
