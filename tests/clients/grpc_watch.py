"""A gRPC service and a client of it that others wrote: the client calls the service through a sidecar, and says how its
calls end. The test deletes the application meanwhile; each line is JSON."""

import json
import sys
import threading
from concurrent import futures

import grpc


def hear():
    return json.loads(sys.stdin.readline())


def tell(value):
    print(json.dumps(value), flush=True)


seen = []
over = threading.Event()


def get(request, context):
    seen.append({key: value for key, value in context.invocation_metadata()})
    return request + b", answered"


def watch(request, context):
    gone = threading.Event()
    context.add_callback(lambda: (gone.set(), over.set()))
    yield b"first"
    while not gone.wait(0.02):
        yield b"more"


def chat(requests, context):
    context.add_callback(over.set)
    for request in requests:
        yield request


def serve():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    handlers = {
        "Get": grpc.unary_unary_rpc_method_handler(get),
        "Watch": grpc.unary_stream_rpc_method_handler(watch),
        "Chat": grpc.stream_stream_rpc_method_handler(chat),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("demo.Objects", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def ended(call):
    """Reads to the end: how many messages came, and by which status it ended."""
    count = 0
    try:
        for _ in call:
            count += 1
    except grpc.RpcError as error:
        return {"messages": count, "code": error.code().name, "details": error.details()}
    return {"messages": count, "code": "OK"}


def main():
    hear()
    server, port = serve()
    tell({"port": port})
    facts = hear()
    token = (("authorization", f"Bearer {facts['token']}"),)
    with grpc.insecure_channel(facts["sidecar"]) as channel:
        objects = {
            "Get": channel.unary_unary("/demo.Objects/Get"),
            "Watch": channel.unary_stream("/demo.Objects/Watch"),
            "Chat": channel.stream_stream("/demo.Objects/Chat"),
            "Other": channel.unary_unary("/demo.Objects/Other"),
        }
        answer = objects["Get"](b"q1", metadata=token, timeout=10)
        tell({"answer": answer.decode(), "seen": seen[-1]})
        for name, metadata in [("Get", ()), ("Other", token)]:
            try:
                objects[name](b"q1", metadata=metadata, timeout=10)
                tell({"code": "OK"})
            except grpc.RpcError as error:
                tell({"code": error.code().name, "seen": len(seen)})
        watched = objects["Watch"](b"q1", metadata=token, timeout=30)
        next(watched)
        speak = threading.Event()

        def words():
            yield b"one"
            speak.wait(30)

        talked = objects["Chat"](words(), metadata=token, timeout=30)
        next(talked)
        tell({"open": 2})
        tell({"watched": ended(watched), "talked": ended(talked)})
        speak.set()
        try:
            objects["Get"](b"q1", metadata=token, timeout=10)
            tell({"code": "OK"})
        except grpc.RpcError as error:
            tell({"code": error.code().name})
        tell({"told_the_service": over.wait(10)})
    server.stop(None)


main()
