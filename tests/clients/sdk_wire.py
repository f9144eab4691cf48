"""A server that shows what came over the wire, and the texts that requests are made of."""

import queue
import socket
import threading

ODD = " ~*+=&'()!,;:@$?#[]\"<>^`{|}äß漢字🙂"
PLAIN = "abcXYZ019-_."


def text(rng, alphabet, longest=12):
    return "".join(rng.choice(alphabet) for _ in range(rng.randint(1, longest)))


def maybe_empty(rng, alphabet):
    return "" if rng.random() < 0.2 else text(rng, alphabet)


class Wire:
    """Answers each request with an empty object, and keeps its bytes."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.seen = queue.Queue()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, _ = self.listener.accept()
            with connection, connection.makefile("rb") as read:
                lines = []
                while (line := read.readline()) not in (b"\r\n", b""):
                    lines.append(line)
                headers = dict(line.lower().split(b":", 1) for line in lines[1:])
                assert b"transfer-encoding" not in headers, "none of these clients sends a body in chunks"
                body = read.read(int(headers.get(b"content-length", b"0")))
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"
                )
                self.seen.put((b"".join(lines).decode("latin-1"), body))

    def sent_by(self, call):
        """What `call` sends. What it makes of the answer does not matter."""
        try:
            call()
        except Exception as error:  # pylint: disable=broad-except
            why = error
        else:
            why = None
        try:
            return self.seen.get(timeout=30)
        except queue.Empty:
            raise RuntimeError("nothing was sent") from why
