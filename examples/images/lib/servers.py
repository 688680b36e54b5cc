"""A name server that knows api.images.test, and an HTTPS server there that refuses everything. Both print what they are asked.

servers.py CERTIFICATE KEY
"""
import http.server
import socket
import ssl
import sys
import threading

NAME, ADDRESS = "api.images.test", "127.0.0.9"


def name_server():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.53", 53))
    while True:
        query, client = server.recvfrom(512)
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += query[at] + 1
        name, kind, end = ".".join(labels), int.from_bytes(query[at + 1 : at + 3], "big"), at + 5
        print("asked", name, kind, flush=True)
        known = name == NAME
        answer = b""
        if known and kind == 1:
            answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(ADDRESS)
        flags = b"\x81\x80" if known else b"\x81\x83"
        counts = b"\0\1" + len(answer[:1]).to_bytes(2, "big") + b"\0\0\0\0"
        server.sendto(query[:2] + flags + counts + query[12:end] + answer, client)


class Refuse(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(503)

    do_POST = do_PATCH = do_GET


threading.Thread(target=name_server, daemon=True).start()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
server = http.server.ThreadingHTTPServer((ADDRESS, 6443), Refuse)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
