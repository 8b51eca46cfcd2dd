#!/usr/bin/env python3
"""Round trips of the library, of bare ureq and of the official SDKs for Python and JavaScript, over a slow network.

Two network namespaces are joined by a link that delays each packet, with an https service at one end, and at the other
the clients and a name server that takes its time and is not cached. Needs Linux, root, `ip`, `openssl`, Rust, and what
`official.sh` has installed (run it once before).

    network.py round-trips    each step of a client in round trips of 100 ms, kept connections after idling included
    network.py names          a token on a kept connection in ms: round trip 10 ms, name server 20 ms
"""
import http.server
import os
import re
import socket
import ssl
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import fcntl

LIBRARY = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
OFFICIAL = os.path.join(LIBRARY, "target", "official")
NEAR, FAR, HOST, ADDRESS, PORT = "acs-near", "acs-far", "contoso.test", "10.9.8.2", 8443
USER = "8:acs:11111111-2222-3333-4444-555555555555_66666666-7777-8888-9999-000000000000"

# Each client reads steps from its standard input, and prints how many microseconds each took.
PYTHON = f'''
import sys, time
started = time.perf_counter()
from azure.communication.identity import CommunicationIdentityClient, CommunicationUserIdentifier
client = CommunicationIdentityClient.from_connection_string(sys.argv[1])
user = CommunicationUserIdentifier("{USER}")
for step in sys.stdin:
    started = time.perf_counter()
    client.create_user() if step.strip() == "create" else client.get_token(user, ["voip"])
    print(int((time.perf_counter() - started) * 1e6), flush=True)
'''
JAVASCRIPT = f'''
const {{ CommunicationIdentityClient }} = require("@azure/communication-identity");
(async () => {{
  const client = new CommunicationIdentityClient(process.argv[2]);
  const user = {{ communicationUserId: "{USER}" }};
  for await (const step of require("readline").createInterface(process.stdin)) {{
    const started = performance.now();
    await (step === "create" ? client.createUser() : client.getToken(user, ["voip"]));
    console.log(Math.round((performance.now() - started) * 1000));
  }}
}})();
'''


def run(*command, **options):
    subprocess.run(command, check=True, **options)


def tun(name, namespace, address, peer):
    """One end of the link: the packets that leave a namespace can be read from it."""
    end = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(end, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1001))  # TUNSETIFF: TUN, no header
    run("ip", "link", "set", name, "netns", namespace)
    inside = ["ip", "-n", namespace]
    run(*inside, "addr", "add", address, "peer", peer, "dev", name)
    run(*inside, "link", "set", name, "up")
    run(*inside, "link", "set", "lo", "up")
    return end


def forward(source, target, delay):
    """Passes packets on after a delay, in their order."""
    waiting, ready = [], threading.Condition()

    def read():
        while packet := os.read(source, 65536):
            with ready:
                waiting.append((time.monotonic() + delay, packet))
                ready.notify()

    def write():
        while True:
            with ready:
                ready.wait_for(lambda: waiting)
                due, packet = waiting.pop(0)
            time.sleep(max(0.0, due - time.monotonic()))
            os.write(target, packet)

    for work in (read, write):
        threading.Thread(target=work, daemon=True).start()


class Service(http.server.BaseHTTPRequestHandler):
    """Keeps connections without announcing it, and answers at once."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        token = '{"token":"' + "Q" * 700 + '","expiresOn":"2099-01-01T00:00:00+00:00"}'
        created = not self.path.split("?")[0].endswith("Token")
        status, body = ("201 Created", '{"identity":{"id":"%s"}}' % USER) if created else ("200 OK", token)
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.wfile.write((head + body).encode())

    def log_message(self, *_):
        pass


def serve(certificate):
    server = http.server.ThreadingHTTPServer((ADDRESS, PORT), Service)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    # The handshake belongs to the thread of its connection.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


def name_server(delay):
    """Knows one name, with an address of version 4 alone."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", 53))

    def answer(query, client):
        question = query[12 : query.index(b"\0", 12) + 5]
        is_a = question[-4:-2] == b"\0\1"
        record = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton(ADDRESS) if is_a else b""
        time.sleep(delay)
        listener.sendto(query[:2] + b"\x81\x80\0\1" + struct.pack(">H", is_a) + b"\0\0\0\0" + question + record, client)

    while True:
        query, client = listener.recvfrom(512)
        threading.Thread(target=answer, args=(query, client), daemon=True).start()


def within(namespace, *command, **options):
    return subprocess.Popen(["ip", "netns", "exec", namespace, *command], **options)


def clients(work):
    """The name of each client, its command and its environment."""
    build = ["cargo", "bench", "--locked", "--bench", "overhead", "--no-run"]
    built = subprocess.run(build, cwd=LIBRARY, check=True, capture_output=True, text=True).stderr
    bench = os.path.join(LIBRARY, re.search(r"Executable .*\((.*)\)", built)[1])
    pem = os.path.join(work, "root.pem")
    endpoint, string = f"https://{HOST}:{PORT}", f"endpoint=https://{HOST}:{PORT};accesskey=c2VjcmV0"
    for name, source in (("python", PYTHON), ("javascript", JAVASCRIPT)):
        with open(os.path.join(work, name), "w") as file:
            file.write(source)
    ours = {side: ([bench, "steps", side, endpoint, pem], {}) for side in ("ours", "ours, caching resolver", "bare")}
    node = {"NODE_PATH": os.path.join(OFFICIAL, "node", "node_modules"), "NODE_EXTRA_CA_CERTS": pem}
    return ours | {
        "Python": ([os.path.join(OFFICIAL, "python/bin/python"), os.path.join(work, "python"), string], {"REQUESTS_CA_BUNDLE": pem}),
        "JavaScript": (["node", os.path.join(work, "javascript"), string], node),
    }


def main(table):
    round_trip = {"round-trips": 0.1, "names": 0.01}[table]
    with tempfile.TemporaryDirectory() as work:
        pem = os.path.join(work, "root.pem")
        subject = ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"]
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            *subject, "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", f"{work}/key.pem", "-out", pem, stderr=subprocess.DEVNULL)
        with open(f"{work}/both.pem", "w") as both:
            both.write(open(pem).read() + open(f"{work}/key.pem").read())
        programs = clients(work)
        os.makedirs(f"/etc/netns/{NEAR}", exist_ok=True)
        with open(f"/etc/netns/{NEAR}/resolv.conf", "w") as resolver:
            resolver.write("nameserver 127.0.0.1\n")
        helpers = []
        try:
            for namespace in (NEAR, FAR):
                run("ip", "netns", "add", namespace)
            near = tun("acs0", NEAR, "10.9.8.1", ADDRESS)
            far = tun("acs1", FAR, ADDRESS, "10.9.8.1")
            forward(near, far, round_trip / 2)
            forward(far, near, round_trip / 2)
            helpers.append(within(FAR, sys.executable, __file__, "serve", f"{work}/both.pem"))
            helpers.append(within(NEAR, sys.executable, __file__, "name-server", "0.02" if table == "names" else "0"))
            time.sleep(1)
            {"round-trips": round_trips, "names": names}[table](programs)
        finally:
            for helper in helpers:
                helper.kill()
            for namespace in (NEAR, FAR):
                subprocess.run(["ip", "netns", "del", namespace])


class Client:
    def __init__(self, command, environment):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": os.environ | environment}
        self.process = within(NEAR, *command, **pipes)

    def step(self, step):
        self.process.stdin.write(step + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline()) / 1e3


def round_trips(programs):
    """All clients idle at the same time, and take their steps in turn."""
    running = {name: Client(*program) for name, program in programs.items() if "caching" not in name}
    time.sleep(3)
    rows = {}

    def row(what, step):
        rows[what] = {name: step(client) / 100 for name, client in running.items()}

    row("first token", lambda client: client.step("token"))
    row("further token", lambda client: statistics.median(client.step("token") for _ in range(5)))
    row("create", lambda client: client.step("create"))
    for idle in (5, 60, 120):
        time.sleep(idle)
        row(f"create after {idle} s of idling", lambda client: client.step("create"))
    print(f"{'round trips':28}" + "".join(f"{name:>12}" for name in running))
    for what, cells in rows.items():
        print(f"{what:28}" + "".join(f"{cell:12.1f}" for cell in cells.values()))


def names(programs):
    for name, program in programs.items():
        client = Client(*program)
        client.step("token")
        print(f"{name:24}{statistics.median(client.step('token') for _ in range(50)):8.1f} ms a token")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", certificate]:
            serve(certificate)
        case ["name-server", delay]:
            name_server(float(delay))
        case [("round-trips" | "names") as table]:
            main(table)
        case _:
            sys.exit(__doc__)
