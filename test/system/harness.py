# SPDX-License-Identifier: Apache-2.0
"""A real hub in a temporary directory, real sockets, and the few third-party tools that system tests drive: openssl,
curl, mosquitto. Nothing here knows the inside of Fairlead; the small MQTT client is our own on purpose, so that a
mistake in the C codec cannot hide behind its twin."""
import base64
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("FAIRLEAD_BIN", SOURCE / "build/asan/bin")).resolve()
VERSIONS = {"mqttv311": 4, "mqttv5": 5}  # by the name that mosquitto's clients know, the number on the wire
WORKERS = os.environ.get("FAIRLEAD_WORKERS")  # of the front; by default as many as a hub chooses
READY_S = 30  # generous: sanitizers on a busy machine


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def run(*argv, check=True, timeout=60, **kwargs):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=timeout, **kwargs)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, argv))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def wait_for(what, timeout_s=20, every_s=0.05, say="condition"):
    end = time.monotonic() + timeout_s
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{say}: not within {timeout_s} s")
        time.sleep(every_s)


class Hub:
    """A hub on loopback. `with Hub() as hub:` starts and stops it; a crash report of a sanitizer fails the test."""

    def __init__(self, init_args=()):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="fairlead-test-"))
        os.chmod(self.work, 0o755)  # the hub's own users must reach their folders
        self.dir = self.work / "hub"
        self.mqtt_port, self.https_port = free_ports(2)
        self.log_path = self.work / "hub.log"
        self.process = None
        self.init = self.fairlead("init", self.dir, "--host", "localhost,127.0.0.1", "--mqtt-port", self.mqtt_port,
                                  "--https-port", self.https_port, *init_args, hub=False)
        if WORKERS:
            with open(self.dir / "hub.conf", "a", encoding="utf-8") as conf:
                conf.write(f"workers {WORKERS}\n")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        self.check_log()
        shutil.rmtree(self.work, ignore_errors=True)

    def start(self):
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen([BIN / "fairlead-hub", self.dir], stdout=subprocess.PIPE, stderr=log)
        log.close()
        line = []
        reader = threading.Thread(target=lambda: line.append(self.process.stdout.readline()), daemon=True)
        reader.start()
        reader.join(READY_S)
        if not line or line[0] != b"ready\n":
            self.kill()
            raise AssertionError(f"the hub did not say ready: {line}\n{self.log()}")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                code = self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"the hub did not end on SIGTERM\n{self.log()}") from None
            if code != 0:
                raise AssertionError(f"the hub ended with {code}\n{self.log()}")
        if self.process:
            self.process.stdout.close()
        self.process = None

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def check_log(self):
        text = self.log()
        for mark in ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "WARNING: ThreadSanitizer", "runtime error:", " error assert: "):
            if mark in text:
                raise AssertionError(f"the log shows {mark!r}:\n{text[-8000:]}")

    def add_profile(self, text):
        """Signs a profile and gives it to the hub, as a vendor and an operator would."""
        path = self.work / f"{text.split()[1]}.profile"
        path.write_text(text, encoding="utf-8")
        self.fairlead("profile", "sign", path)
        self.fairlead("profile", "add", path)

    def children(self):
        """{program name: pid} of the hub's processes."""
        found = {}
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                if int(fields[1]) == self.process.pid and fields[0] != "Z":
                    found[(entry / "cmdline").read_text().split("\0")[0].rsplit("/", 1)[-1]] = int(entry.name)
            except (OSError, IndexError):
                continue
        return found

    # --- the command line ---

    def fairlead(self, *argv, check=True, hub=True, **kwargs):
        where = ["--hub", self.dir] if hub else []
        return run(BIN / "fairlead", *where, *argv, check=check, **kwargs)

    def json(self, *argv):
        return json.loads(self.fairlead(*argv, "--json").stdout)

    def device(self, device):
        return self.json("device", "show", device)

    def readings(self, device):
        return self.json("reading", "show", device)

    # --- third-party clients ---

    def add(self, device, profile="camera", *more):
        return self.json("device", "add", device, "--profile", profile, *more)

    def enrol(self, device, profile="camera"):
        """Enrols with openssl and curl alone. Returns a Credential."""
        added = self.add(device, profile)
        credential = Credential(self, device)
        status, body = credential.request(added["token"])
        if status != 200:
            raise AssertionError(f"simpleenroll: {status} {body}")
        credential.accept(body)
        return credential


class Credential:
    """A device's key and certificate as files, as a third party would keep them."""

    def __init__(self, hub, device):
        self.hub, self.id = hub, device
        self.folder = hub.work / f"{device}-{time.monotonic_ns()}"
        self.folder.mkdir()
        self.key, self.csr, self.cert = (self.folder / n for n in ("key.pem", "csr.b64", "cert.pem"))
        run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.key)
        self.make_csr(device)

    def make_csr(self, name):
        der = self.folder / "csr.der"
        run("openssl", "req", "-new", "-key", self.key, "-subj", f"/CN={name}", "-outform", "DER", "-out", der)
        self.csr.write_bytes(base64.encodebytes(der.read_bytes()))

    def request(self, token, user=None):
        """One simpleenroll by curl: (HTTP status, body)."""
        body = self.folder / "answer"
        done = run("curl", "-sS", "-o", body, "-w", "%{http_code}", "-u", f"{user or self.id}:{token}", "--cacert",
                   self.hub.dir / "ca.pem", "--data-binary", f"@{self.csr}", "-H", "Content-Type: application/pkcs10",
                   f"https://localhost:{self.hub.https_port}/.well-known/est/simpleenroll")
        return int(done.stdout), body.read_bytes().decode(errors="replace")

    def accept(self, body):
        p7 = self.folder / "p7.der"
        p7.write_bytes(base64.b64decode(body))
        run("openssl", "pkcs7", "-inform", "DER", "-in", p7, "-print_certs", "-out", self.cert)

    def context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(self.hub.dir / "ca.pem")
        if self.cert.exists():
            context.load_cert_chain(self.cert, self.key)
        return context

    def mosquitto(self, program, *argv, version="mqttv5", check=True, **kwargs):
        return run(program, "-h", "localhost", "-p", self.hub.mqtt_port, "--cafile", self.hub.dir / "ca.pem", "--cert", self.cert,
                   "--key", self.key, "-i", self.id, "-V", version, *argv, check=check, **kwargs)


class Refused(Exception):
    """The hub ended the connection or refused it."""


class Inbox:
    """Bytes of a connection that nobody has taken yet."""

    def need(self, count):
        while len(self.inbox) < count:
            data = self.tls.recv(65536)
            if not data:
                raise EOFError("closed by the hub")
            self.inbox += data


class Mqtt(Inbox):
    """A small blocking MQTT client; one TLS connection."""

    def __init__(self, credential, version=5, session=None, context=None, clean=True, expiry=0, client_id=None, keep_alive=60,
                 timeout=20):
        self.version = version
        self.context = context or credential.context()
        self.inbox, self.packet_id = b"", 0
        self.messages, self.acks = [], {}
        raw = socket.create_connection(("127.0.0.1", self.port(credential.hub)), timeout=timeout)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.tls = self.context.wrap_socket(raw, server_hostname="localhost", session=session)
            self.tls = self.carry(self.tls)
            self.send(0x10, self.string("MQTT") + bytes([version, 2 if clean else 0]) + struct.pack(">H", keep_alive) +
                      (b"\x05\x11" + struct.pack(">I", expiry) if version == 5 else b"") + self.string(client_id or credential.id))
            kind, body = self.receive()
        except (ssl.SSLError, OSError, EOFError) as error:
            raw.close()
            getattr(self, "tls", raw).close()
            raise Refused(str(error)) from error
        if kind >> 4 != 2 or body[1] != 0:
            self.close()
            raise Refused(f"CONNACK {body.hex()}")
        self.session_present = body[0] & 1

    @staticmethod
    def port(hub):
        return hub.mqtt_port

    def carry(self, tls):
        """What MQTT's bytes go through."""
        return tls

    @staticmethod
    def string(text):
        data = text.encode() if isinstance(text, str) else text
        return struct.pack(">H", len(data)) + data

    def send(self, kind, body):
        self.tls.sendall(self.packet(kind, body))

    @staticmethod
    def packet(kind, body):
        size, head = len(body), bytes([kind])
        while True:
            head += bytes([size & 127 | (128 if size > 127 else 0)])
            size >>= 7
            if not size:
                return head + body

    def receive(self):
        at, size, shift = 1, 0, 0
        while True:
            self.need(at + 1)
            byte = self.inbox[at]
            size |= (byte & 127) << shift
            shift, at = shift + 7, at + 1
            if byte < 128:
                break
        self.need(at + size)
        kind, body = self.inbox[0], self.inbox[at:at + size]
        self.inbox = self.inbox[at + size:]
        return kind, body

    def publish_bytes(self, topic, payload, qos=1, retain=False, dup=False, packet_id=None):
        if qos and packet_id is None:
            self.packet_id = packet_id = self.packet_id % 65535 + 1
        payload = payload if isinstance(payload, bytes) else str(payload).encode()
        return packet_id, self.packet(0x30 | qos << 1 | retain | dup << 3, self.string(topic) +
                                      (struct.pack(">H", packet_id) if qos else b"") + (b"\0" if self.version == 5 else b"") + payload)

    def publish(self, topic, payload, qos=1, **kwargs):
        """Returns the reason code of the acknowledgement (0: success; QoS 0: None)."""
        packet_id, data = self.publish_bytes(topic, payload, qos, **kwargs)
        self.tls.sendall(data)
        return self.wait_ack(packet_id) if qos else None

    def wait_ack(self, packet_id):
        while packet_id not in self.acks:
            self.step()
        return self.acks.pop(packet_id)

    def step(self):
        """Takes one packet in."""
        kind, body = self.receive()
        if kind >> 4 in (4, 9):  # PUBACK, SUBACK
            at = 2
            if kind >> 4 == 9 and self.version == 5:
                at += 1 + body[2]
            self.acks[struct.unpack(">H", body[:2])[0]] = body[at] if len(body) > at else 0
        elif kind >> 4 == 3:
            size = struct.unpack(">H", body[:2])[0]
            topic, at, qos = body[2:2 + size].decode(), 2 + size, kind >> 1 & 3
            if qos:
                self.send(0x40, body[at:at + 2])
                at += 2
            if self.version == 5:
                at += 1 + body[at]
            self.messages.append((topic, body[at:]))
        elif kind >> 4 == 14:
            raise Refused(f"DISCONNECT {body[0] if body else 0:#x}")

    def subscribe(self, topic_filter, qos=1):
        self.packet_id = self.packet_id % 65535 + 1
        mine = self.packet_id
        self.send(0x82, struct.pack(">H", mine) + (b"\0" if self.version == 5 else b"") + self.string(topic_filter) + bytes([qos]))
        return self.wait_ack(mine)

    def wait_closed(self, timeout_s=5):
        """Seconds until the hub ended this connection."""
        start = time.monotonic()
        self.tls.settimeout(timeout_s)
        try:
            while True:
                self.step()
        except (Refused, EOFError, ssl.SSLError, ConnectionError):
            return time.monotonic() - start

    def close(self):
        try:
            self.tls.close()
        except OSError:
            pass


class WebSocket(Inbox):
    """A small blocking WebSocket client over TLS that looks like a socket to Mqtt."""

    REQUEST = ("GET /mqtt HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: keep-alive, Upgrade",
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: mqttv3.1, mqtt")

    def __init__(self, tls, upgrade=True):
        self.tls, self.inbox, self.payload, self.frames, self.controls, self.close_code = tls, b"", b"", [], [], None
        self.reason = ""
        if upgrade:
            tls.sendall(("\r\n".join(self.REQUEST) + "\r\n\r\n").encode())
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                byte = tls.recv(1)
                if not byte:
                    raise EOFError("closed during the handshake")
                head += byte
            if not head.startswith(b"HTTP/1.1 101 ") or b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" not in head:
                raise EOFError(head.decode())
            self.head = head.decode()

    @staticmethod
    def frame(payload, opcode=2, final=True, mask=b"\x37\xfa\x21\x3d"):
        size = len(payload)
        long = struct.pack(">BH", 126, size) if size < 65536 else struct.pack(">BQ", 127, size)
        head = bytes([opcode | (128 if final else 0)]) + (bytes([size]) if size < 126 else long)
        key = (mask * (size // 4 + 1))[:size]
        return bytes([head[0], head[1] | 128]) + head[2:] + mask + (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")

    def sendall(self, data):
        self.tls.sendall(self.frame(data))

    def read_frame(self):
        """(opcode, payload) of one frame."""
        self.need(2)
        at, size = 2, self.inbox[1]
        if size & 128:
            raise AssertionError("a server's frame is masked")
        if size > 125:
            at += 2 if size == 126 else 8
            self.need(at)
            size = int.from_bytes(self.inbox[2:at], "big")
        self.need(at + size)
        first, payload = self.inbox[0], self.inbox[at:at + size]
        self.inbox = self.inbox[at + size:]
        if first & 0xF0 != 0x80:
            raise AssertionError(f"first octet {first:#x}")
        self.frames.append((first & 15, size))
        return first & 15, payload

    def recv(self, count):
        while not self.payload:
            opcode, payload = self.read_frame()
            if opcode == 2:
                self.payload = payload
            elif opcode == 8:
                self.close_code, self.reason = int.from_bytes(payload[:2], "big"), payload[2:].decode()
                return b""
            else:
                self.controls.append((opcode, payload))
        data, self.payload = self.payload[:count], self.payload[count:]
        return data

    def settimeout(self, seconds):
        self.tls.settimeout(seconds)

    def close(self):
        self.tls.close()

    def version(self):
        return self.tls.version()

    @property
    def session(self):
        return self.tls.session

    @property
    def session_reused(self):
        return self.tls.session_reused


class WsMqtt(Mqtt):
    """The same client through a WebSocket."""

    @staticmethod
    def port(hub):
        return hub.https_port

    def carry(self, tls):
        return WebSocket(tls)


def camera_profile(name, may=None):
    """The text of a profile like the camera's; `may` stands in place of its right to its commands."""
    text = (SOURCE / "profiles/camera.profile").read_text(encoding="utf-8").replace("profile camera", f"profile {name}")
    return text.replace("subscribe d/{device}/c/#", may) if may else text


class HubTest(unittest.TestCase):
    """One hub for all tests of a class."""

    @classmethod
    def setUpClass(cls):
        cls.hub = Hub()
        cls.hub.start()

    @classmethod
    def tearDownClass(cls):
        cls.hub.__exit__()


class StationTest(HubTest):
    """There is a model of device that may also speak with itself, below d/{device}/e/."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hub.add_profile(camera_profile("station", "publish   d/{device}/e/#\n    subscribe d/{device}/e/#"))

    def values(self, device):
        return sorted(r["value"] for r in self.hub.readings(device))
