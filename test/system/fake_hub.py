# SPDX-License-Identifier: Apache-2.0
"""A hub of openssl and Python, for what a real hub never does: showing a wrong root, answering nonsense, acknowledging
nothing. It shares no code with Fairlead."""
import base64
import hashlib
import http.server
import json
import os
import pathlib
import shutil
import socket
import ssl
import struct
import tempfile
import threading
import time
import zlib

from harness import free_ports, run


def openssl(*argv, **kwargs):
    return run("openssl", *argv, **kwargs)


class Pki:
    """Root, issuing CA and a server certificate for localhost."""

    def __init__(self, folder):
        self.folder = folder
        self.root, self.issuing, self.server = (self.make(n) for n in ("root", "issuing", "server"))
        self.sign("root", "root", "Fairlead root", "basicConstraints=critical,CA:TRUE,pathlen:1\nkeyUsage=critical,keyCertSign,cRLSign")
        self.sign("issuing", "root", "Fairlead issuing", "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign")
        self.sign("server", "issuing", "localhost", "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth")
        (folder / "server-chain.pem").write_bytes((folder / "server.pem").read_bytes() + (folder / "issuing.pem").read_bytes())

    def make(self, name):
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.folder / f"{name}.key")
        return self.folder / f"{name}.pem"

    def sign(self, name, issuer, subject, extensions):
        f = self.folder
        (f / f"{name}.ext").write_text(extensions + "\n")
        openssl("req", "-new", "-key", f / f"{name}.key", "-subj", f"/CN={subject}", "-out", f / f"{name}.csr")
        by = ["-signkey", f / f"{name}.key"] if name == issuer else ["-CA", f / f"{issuer}.pem", "-CAkey", f / f"{issuer}.key"]
        openssl("x509", "-req", "-in", f / f"{name}.csr", *by, "-set_serial", str(time.time_ns()), "-days", "2", "-extfile",
                f / f"{name}.ext", "-out", f / f"{name}.pem")

    def der(self, name):
        return ssl.PEM_cert_to_DER_cert((self.folder / f"{name}.pem").read_text())

    def issue(self, csr_der, device):
        f = self.folder
        (f / "device.csr").write_bytes(csr_der)
        (f / "device.ext").write_text(f"subjectAltName=URI:urn:fairlead:device:{device}\nextendedKeyUsage=clientAuth\n"
                                      "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n")
        openssl("x509", "-req", "-inform", "DER", "-in", f / "device.csr", "-CA", f / "issuing.pem", "-CAkey", f / "issuing.key",
                "-set_serial", str(time.time_ns()), "-days", "1", "-extfile", f / "device.ext", "-out",
                f / "device.pem")
        return self.pkcs7("device")

    def pkcs7(self, *names):
        arguments = [a for n in names for a in ("-certfile", self.folder / f"{n}.pem")]
        openssl("crl2pkcs7", "-nocrl", *arguments, "-outform", "DER", "-out", self.folder / "out.p7")
        return base64.encodebytes((self.folder / "out.p7").read_bytes())


class FakeHub:
    def __init__(self, mqtt=True):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="fairlead-fake-"))
        self.pki = Pki(self.work)
        self.mqtt_port, self.https_port = free_ports(2)
        self.answer = None  # (status, content type, body) for simpleenroll instead of a certificate
        self.cacerts = None  # a body for cacerts instead of the right one
        self.posts = []
        self.stored, self.duplicates, self.errors, self.resumed = {}, 0, [], []
        self.mute, self.reason, self.listener = False, 0, None
        self.connack = lambda serial: 0  # the reason code for who connects with this certificate; None: no answer
        self.accepted = []  # serial numbers, in the order of connecting
        self.start_https()
        if mqtt:
            self.start_mqtt()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.https.shutdown()
        self.https.server_close()
        self.stop_mqtt()
        shutil.rmtree(self.work, ignore_errors=True)

    # --- enrolment ---

    def start_https(self):
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def reply(self, status, kind, body):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                if status == 503:
                    self.send_header("Retry-After", "7")
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                self.reply(200, "application/pkcs7-mime", hub.cacerts or hub.pki.pkcs7("issuing", "root"))

            def do_POST(self):
                csr = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path.endswith("/simplereenroll"):
                    self.reenrol(csr)
                    return
                user, _, password = base64.b64decode(self.headers["Authorization"].split()[1]).decode().partition(":")
                hub.posts.append((self.path, user, password, self.headers["Content-Type"]))
                if hub.answer:
                    self.reply(*hub.answer)
                else:
                    self.reply(200, "application/pkcs7-mime; smime-type=certs-only", hub.pki.issue(base64.b64decode(csr), user))

            def reenrol(self, csr):
                """By whoever shows a certificate of ours."""
                user = dict(pair for rdn in self.connection.getpeercert()["subject"] for pair in rdn)["commonName"]
                hub.posts.append((self.path, user, None, self.headers["Content-Type"]))
                if hub.answer:
                    self.reply(*hub.answer)
                else:
                    self.reply(200, "application/pkcs7-mime; smime-type=certs-only", hub.pki.issue(base64.b64decode(csr), user))

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self.work / "server-chain.pem", self.work / "server.key")
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(self.work / "root.pem")
        self.https = http.server.ThreadingHTTPServer(("127.0.0.1", self.https_port), Handler)
        self.https.handle_error = lambda *_: None  # agents are killed and hubs not believed
        self.https.socket = context.wrap_socket(self.https.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.https.serve_forever, daemon=True).start()

    def token(self, device, host="localhost", ttl_s=900, root=None, kind=1):
        digest = hashlib.sha256(self.pki.der("root")).digest() if root is None else root
        body = bytes([kind]) + os.urandom(16) + digest + struct.pack(">q", int((time.time() + ttl_s) * 1000))
        body += bytes([len(device)]) + device.encode() + bytes([len(host)]) + host.encode()
        body += struct.pack(">HH", self.https_port, self.mqtt_port)
        body += struct.pack(">I", zlib.crc32(body))
        return "fl1." + base64.urlsafe_b64encode(body).decode().rstrip("=")

    # --- MQTT ---

    def start_mqtt(self):
        """Stores what is published and acknowledges it, unless `mute`; `reason` is what every acknowledgement says."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self.work / "server-chain.pem", self.work / "server.key")
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self.work / "root.pem")
        self.listener = socket.create_server(("127.0.0.1", self.mqtt_port), reuse_port=True)
        self.open = []
        threading.Thread(target=self.accept, args=(context, self.listener), daemon=True).start()

    def stop_mqtt(self):
        if self.listener:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.cut()
        self.listener = None

    def cut(self):
        """Ends every connection without a word."""
        for connection in self.open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def accept(self, context, listener):
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            self.open.append(raw)
            threading.Thread(target=self.serve, args=(context, raw), daemon=True).start()

    def serve(self, context, raw):
        try:
            raw.settimeout(30)
            with context.wrap_socket(raw, server_side=True) as tls:
                self.talk(tls)
        except (OSError, EOFError, ssl.SSLError) as error:
            self.errors.append(str(error))

    def talk(self, tls):
        self.open.append(tls)
        self.resumed.append(tls.session_reused)
        inbox = b""

        def need(count):
            nonlocal inbox
            while len(inbox) < count:
                data = tls.recv(65536)
                if not data:
                    raise EOFError("closed by the agent")
                inbox += data

        while True:
            at, size, shift = 1, 0, 0
            while True:
                need(at + 1)
                size |= (inbox[at] & 127) << shift
                shift, at = shift + 7, at + 1
                if inbox[at - 1] < 128:
                    break
            need(at + size)
            kind, body, inbox = inbox[0], inbox[at:at + size], inbox[at + size:]
            if kind >> 4 == 1:
                serial = tls.getpeercert()["serialNumber"].lower()
                reason = self.connack(serial)
                if reason is None:
                    return
                if reason == 0:
                    self.accepted.append(serial)
                tls.sendall(b"\x20\x03\x00" + bytes([reason]) + b"\x00")
            elif kind >> 4 == 3:
                self.publish(tls, body)
            elif kind >> 4 == 12:
                tls.sendall(b"\xd0\x00")
            elif kind >> 4 == 14:
                return

    def publish(self, tls, body):
        size = struct.unpack(">H", body[:2])[0]
        topic, packet_id, rest = body[2:2 + size].decode(), body[2 + size:4 + size], body[4 + size:]
        payload = json.loads(rest[1 + rest[0]:])  # no property is longer than 127 octets
        if self.mute:
            return
        if not self.reason:
            key = (topic, payload["t"], payload["v"])
            if key in self.stored:
                self.duplicates += 1
            self.stored[key] = None
        tls.sendall(b"\x40\x03" + packet_id + bytes([self.reason]))

    def values(self, stream):
        return [v for topic, _, v in self.stored if topic.endswith(f"/t/{stream}")]
