"""A small server that speaks S3 over HTTP, for what the project asks of one: no more than that.

Objects lie in memory. It knows objects whole and in ranges, lists, copies, deletions, uploads in
parts, and the chunked bodies that clients sign; it looks at no signature.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
WHEN, XML_WHEN = "Sat, 01 Jan 2022 00:00:00 GMT", "2022-01-01T00:00:00.000Z"


class Bucket(ThreadingHTTPServer):
    """Objects by ``bucket/key``, in memory."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects: dict[str, bytes] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.read = 0  # bytes of objects that were given out


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Bucket

    def do_GET(self) -> None:
        if "list-type" in self.query:
            self.answer(200, self.listing())
            return
        data = self.server.objects.get(self.key)
        if data is None:
            self.nothing()
            return
        found = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if found is None:
            self.answer(200, data)
        else:
            first, last = int(found[1]), int(found[2] or len(data) - 1)
            part = data[first : last + 1]
            shown = f"bytes {first}-{first + len(part) - 1}/{len(data)}"
            self.answer(206, part, {"Content-Range": shown})
        self.server.read += len(data if found is None else part)

    def do_HEAD(self) -> None:
        data = self.server.objects.get(self.key)
        bucket = "/" not in self.key.rstrip("/")
        if data is None and not bucket:
            self.nothing()
            return
        self.answer(200, b"", {"Content-Length": str(len(data or b""))})

    def do_PUT(self) -> None:
        body, query = self.body(), self.query
        if source := self.headers.get("x-amz-copy-source"):
            self.server.objects[self.key] = self.server.objects[unquote(source).lstrip("/")]
            self.xml("<CopyObjectResult><ETag>x</ETag></CopyObjectResult>")
        elif "uploadId" in query:
            self.server.parts[query["uploadId"]][int(query["partNumber"])] = body
            self.answer(200, b"", {"ETag": '"part"'})
        else:
            self.server.objects[self.key] = body
            self.answer(200, b"", {"ETag": '"whole"'})

    def do_POST(self) -> None:
        body, query = self.body(), self.query
        if "uploads" in query:
            self.server.parts[self.key] = {}
            name = f"<UploadId>{escape(self.key)}</UploadId>"
            self.xml(f"<InitiateMultipartUploadResult>{name}</InitiateMultipartUploadResult>")
        elif "uploadId" in query:
            parts = self.server.parts.pop(query["uploadId"])
            self.server.objects[self.key] = b"".join(parts[n] for n in sorted(parts))
            self.xml(
                "<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>"
            )
        elif "delete" in query:
            for key in re.findall(r"<Key>(.*?)</Key>", body.decode()):
                self.server.objects.pop(f"{self.key.rstrip('/')}/{key}", None)
            self.xml("<DeleteResult></DeleteResult>")

    def do_DELETE(self) -> None:
        self.server.objects.pop(self.key, None)
        self.answer(204, b"")

    def listing(self) -> bytes:
        prefix, delimiter = self.query.get("prefix", ""), self.query.get("delimiter", "")
        own = self.key.rstrip("/") + "/"
        names = sorted(k.removeprefix(own) for k in self.server.objects if k.startswith(own))
        keys, folders = [], set()
        for name in (n for n in names if n.startswith(prefix)):
            head, cut, _ = name[len(prefix) :].partition(delimiter or "\0")
            if cut:
                folders.add(prefix + head + delimiter)
            else:
                keys.append(name)
        most = int(self.query.get("max-keys", 1000))
        rows = [
            f"<Contents><Key>{escape(k)}</Key><Size>{len(self.server.objects[own + k])}"
            f"</Size><LastModified>{XML_WHEN}</LastModified><ETag>x</ETag></Contents>"
            for k in keys[:most]
        ]
        rows += [f"<CommonPrefixes><Prefix>{escape(f)}</Prefix></CommonPrefixes>" for f in folders]
        count = f"<KeyCount>{len(rows)}</KeyCount><IsTruncated>false</IsTruncated>"
        return f"{HEAD}<ListBucketResult>{count}{''.join(rows)}</ListBucketResult>".encode()

    @property
    def key(self) -> str:
        """``bucket/key``."""
        return unquote(urlsplit(self.path).path).lstrip("/")

    @property
    def query(self) -> dict[str, str]:
        held = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        return {name: values[0] for name, values in held.items()}

    def body(self) -> bytes:
        """What was sent, out of the chunks that a client signs."""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            data = b"".join(iter(lambda: self.chunk(), b""))
        else:
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "aws-chunked" not in self.headers.get("Content-Encoding", ""):
            return data
        out = b""
        while data:
            size, _, rest = data.partition(b"\r\n")
            count = int(size.split(b";")[0], 16)
            if not count:
                break
            out, data = out + rest[:count], rest[count + 2 :]
        return out

    def chunk(self) -> bytes:
        data = self.rfile.read(int(self.rfile.readline().split(b";")[0], 16))
        self.rfile.readline()
        return data

    def xml(self, text: str) -> None:
        self.answer(200, f"{HEAD}{text}".encode())

    def nothing(self) -> None:
        self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    def answer(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        told = {"Content-Length": str(len(data)), "Last-Modified": WHEN, "ETag": '"x"'}
        self.send_response(status)
        for name, value in (told | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD" and status != 204:
            self.wfile.write(data)

    def log_message(self, *words: object) -> None:
        """Nothing."""


@contextmanager
def bucket() -> Iterator[Bucket]:
    """A server that answers; its address is ``http://127.0.0.1:{server_port}``."""
    with Bucket() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
