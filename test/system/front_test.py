# SPDX-License-Identifier: Apache-2.0
"""The front's two listeners from outside: enrolment and the API over HTTPS, what TLS says to the wrong people, and that
clients who are slow, silent or malformed disturb nobody."""
import base64
import json
import pathlib
import socket
import ssl
import subprocess
import time
import unittest

from harness import Credential, HubTest, Mqtt, Refused, run


class Http:
    """Raw bytes over TLS, so that requests can be wrong."""

    def __init__(self, hub, credential=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(hub.dir / "ca.pem")
        if credential:
            context.load_cert_chain(credential.cert, credential.key)
        raw = socket.create_connection(("127.0.0.1", hub.https_port), timeout=20)
        self.tls = context.wrap_socket(raw, server_hostname="localhost")

    def ask(self, request):
        self.tls.sendall(request.encode() if isinstance(request, str) else request)
        return self.answer()

    def answer(self):
        """(status, headers and body as one text)"""
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.tls.recv(65536)
            if not more:
                break
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        size = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0)
        while len(body) < size:
            body += self.tls.recv(65536)
        return int(head.split()[1]) if head else 0, (head + b"\r\n\r\n" + body).decode()

    def close(self):
        self.tls.close()


class Front(HubTest):
    def curl(self, path, *argv):
        done = run("curl", "-sS", "--cacert", self.hub.dir / "ca.pem", "-i", *argv, f"https://localhost:{self.hub.https_port}{path}")
        return int(done.stdout.split()[1]), done.stdout

    def test_cacerts_are_the_two_authorities(self):
        _, text = self.curl("/.well-known/est/cacerts")
        body = text.replace("\r\n", "\n").split("\n\n", 1)[1]
        self.assertTrue(all(len(line) <= 76 for line in body.split("\n")))
        p7 = self.hub.work / "cacerts.der"
        p7.write_bytes(base64.b64decode(body))
        pem = run("openssl", "pkcs7", "-inform", "DER", "-in", p7, "-print_certs").stdout
        self.assertEqual(pem.count("BEGIN CERTIFICATE"), 2)
        root = (self.hub.dir / "ca.pem").read_text().strip().splitlines()[1]
        self.assertIn(root, pem)

    def test_attributes_ask_for_a_p256_key(self):
        _, text = self.curl("/.well-known/est/csrattrs")
        shown = run("openssl", "asn1parse", input=text.replace("\r\n", "\n").split("\n\n", 1)[1]).stdout
        for name in ("id-ecPublicKey", "prime256v1", "ecdsa-with-SHA256"):
            self.assertIn(name, shown)

    def test_a_token_works_once_and_for_its_device_only(self):
        token = self.hub.add("est-01")["token"]
        self.hub.add("est-02")
        credential = Credential(self.hub, "est-01")
        self.assertIn(credential.request("fl1.nonsense")[0], (401, 403))
        self.assertIn(credential.request(token, user="est-02")[0], (401, 403))
        status, body = credential.request(token)
        self.assertEqual(status, 200, body)
        credential.accept(body)
        self.assertIn(credential.request(token)[0], (401, 403))
        self.assertEqual(credential.cert.read_text().count("BEGIN CERTIFICATE"), 1)

    def test_enrolment_says_what_is_wrong_with_a_request(self):
        token = self.hub.add("est-03")["token"]
        credential = Credential(self.hub, "est-03")
        folder = credential.folder
        der = base64.b64decode(credential.csr.read_bytes())
        run("openssl", "req", "-new", "-newkey", "rsa:1024", "-nodes", "-keyout", folder / "weak.key", "-subj", "/CN=est-03",
            "-outform", "DER", "-out", folder / "weak.der")
        for body, words in ((der, "base64"), (b"", "empty"), (b"!!!", "base64"), (base64.b64encode(b"hello"), ""),
                            (base64.b64encode(der[:-1] + bytes([der[-1] ^ 1])), ""),
                            (base64.encodebytes((folder / "weak.der").read_bytes()), "")):
            (folder / "bad").write_bytes(body)
            status, text = self.curl("/.well-known/est/simpleenroll", "-u", f"est-03:{token}", "--data-binary",
                                     f"@{folder / 'bad'}", "-H", "Content-Type: application/pkcs10")
            self.assertEqual(status, 400, text)
            self.assertIn("application/problem+json", text)
            self.assertIn(words, text)
        # None of it has used the token up; a PEM request is as good as a bare one.
        pem = folder / "csr.pem"
        pem.write_text("-----BEGIN CERTIFICATE REQUEST-----\n" + credential.csr.read_text() + "-----END CERTIFICATE REQUEST-----\n")
        status, text = self.curl("/.well-known/est/simpleenroll", "-u", f"est-03:{token}", "--data-binary", f"@{pem}")
        self.assertEqual(status, 200, text)

    def test_enrolment_without_credentials_is_asked_for_them(self):
        status, text = self.curl("/.well-known/est/simpleenroll", "--data-binary", "x")
        self.assertEqual(status, 401)
        self.assertIn("WWW-Authenticate: Basic", text)

    def test_a_certificate_renews_itself(self):
        credential = self.hub.enrol("est-04")
        old = credential.cert.read_text()
        status, text = self.curl("/.well-known/est/simplereenroll", "--cert", credential.cert, "--key", credential.key,
                                 "--data-binary", f"@{credential.csr}", "-H", "Content-Type: application/pkcs10")
        self.assertEqual(status, 200, text)
        credential.accept(text.replace("\r\n", "\n").split("\n\n", 1)[1])
        self.assertNotEqual(old, credential.cert.read_text())
        mqtt = Mqtt(credential)
        self.assertEqual(mqtt.publish("d/est-04/t/temperature", 20), 0)
        mqtt.close()
        self.assertEqual(self.curl("/.well-known/est/simplereenroll", "--data-binary", f"@{credential.csr}")[0], 401)

    def test_only_est_and_the_api_answer(self):
        self.assertEqual(self.curl("/")[0], 404)
        self.assertEqual(self.curl("/.well-known/est/serverkeygen", "-X", "POST")[0], 404)
        self.assertEqual(self.curl("/.well-known/est/cacerts", "-X", "DELETE")[0], 405)
        self.assertEqual(self.curl("/api/v1/health")[0], 200)
        self.assertEqual(self.curl("/api/v1/devices")[0], 401)
        self.assertEqual(self.curl("/api/v1/devices", "-H", "Authorization: Bearer nonsense")[0], 401)
        status, text = self.curl("/api/v1/principals/claim", "-H", "Content-Type: application/json", "-d", '{"a":1,"a":2}')
        self.assertEqual(status, 400)
        self.assertIn("duplicate", text)

    def test_malformed_requests_get_their_status(self):
        for request, status in (("GET / HTTP/1.1\nHost: a\n\n", 400), ("GET / HTTP/1.1\r\n\r\n", 400),
                                ("GET /../x HTTP/1.1\r\nHost: a\r\n\r\n", 400), ("GET /%2f HTTP/1.1\r\nHost: a\r\n\r\n", 400),
                                ("POST /api/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
                                ("POST /api/ HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n", 413),
                                ("GET /" + "a" * 9000 + " HTTP/1.1\r\n", 414), ("GET / HTTP/1.1\r\nX: " + "a" * 17000, 431),
                                ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505), ("\x16\x03\x01 nonsense\r\n\r\n", 400)):
            client = Http(self.hub)
            self.assertEqual(client.ask(request)[0], status, request[:60])
            client.close()

    def test_tls_tells_each_wrong_client_why(self):
        good = self.hub.enrol("tls-01")
        folder = good.folder
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
            folder / "self.key", "-out", folder / "self.pem", "-subj", "/CN=tls-01", "-days", "1")

        class Foreign(Credential):
            def __init__(self, hub, key, cert):
                self.hub, self.id, self.key, self.cert = hub, "tls-01", key, cert

        with self.assertRaisesRegex(Refused, "(?i)unknown.ca"):
            Mqtt(Foreign(self.hub, folder / "self.key", folder / "self.pem"))
        with self.assertRaisesRegex(Refused, "(?i)certificate.required"):
            Mqtt(Foreign(self.hub, good.key, pathlib.Path("/nonexistent")))
        old = subprocess.run(["openssl", "s_client", "-connect", f"localhost:{self.hub.mqtt_port}", "-tls1_2", "-CAfile",
                              str(self.hub.dir / "ca.pem")], input="", capture_output=True, text=True, timeout=30, check=False)
        self.assertNotEqual(old.returncode, 0)
        self.assertIn("protocol version", (old.stdout + old.stderr).lower())
        Mqtt(good).close()

    def test_a_resumed_session_is_judged_again(self):
        credential = self.hub.enrol("tls-02")
        first = Mqtt(credential)
        first.publish("d/tls-02/t/temperature", 20)
        session = first.tls.session
        again = Mqtt(credential, context=first.context, session=session)
        self.assertTrue(again.tls.session_reused)
        outcome = self.hub.json("device", "quarantine", "tls-02", "--for", "1h", "--reason", "test")
        self.assertLess(outcome["took_ms"], 1000)
        self.assertLess(again.wait_closed(), 1)
        for offered in (None, again.tls.session or session):
            with self.assertRaises(Refused):
                Mqtt(credential, context=first.context, session=offered)
        self.hub.fairlead("device", "release", "tls-02")
        Mqtt(credential).close()

    def test_silent_and_slow_clients_disturb_nobody(self):
        credential = self.hub.enrol("slow-01")
        silent = [socket.create_connection(("127.0.0.1", port), timeout=20)
                  for port in (self.hub.mqtt_port, self.hub.https_port) for _ in range(150)]
        half = Http(self.hub)
        half.tls.sendall(b"POST /api/v1/devices HTTP/1.1\r\nHost: a\r\nContent-Le")
        for one in silent[::3]:
            one.sendall(b"\x16\x03\x01\x02\x00\x01")
        began = time.monotonic()
        mqtt = Mqtt(credential)
        for value in range(20):
            self.assertEqual(mqtt.publish("d/slow-01/t/temperature", value), 0)
        self.assertEqual(self.curl("/api/v1/health")[0], 200)
        self.assertLess(time.monotonic() - began, 10)
        # Whoever has not finished the handshake in its time is let go.
        silent[0].settimeout(15)
        self.assertEqual(silent[0].recv(100), b"")
        for one in silent:
            one.close()
        half.close()
        mqtt.close()

    def test_garbage_on_the_mqtt_listener_ends_that_connection_only(self):
        credential = self.hub.enrol("bad-01")
        good = Mqtt(credential)
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 100, b"\xff" * 2000, b"\x10\xff\xff\xff\xff\x7f"):
            context = credential.context()
            raw = socket.create_connection(("127.0.0.1", self.hub.mqtt_port), timeout=20)
            with context.wrap_socket(raw, server_hostname="localhost") as tls:
                tls.sendall(data)
                try:
                    while tls.recv(4096):
                        pass
                except (ssl.SSLError, ConnectionError):
                    pass
            raw = socket.create_connection(("127.0.0.1", self.hub.mqtt_port), timeout=20)
            raw.sendall(data)
            raw.settimeout(15)
            try:
                while raw.recv(4096):
                    pass
            except ConnectionError:
                pass
            raw.close()
        self.assertEqual(good.publish("d/bad-01/t/temperature", 21.5), 0)
        good.close()

    def test_what_is_refused_is_in_the_audit(self):
        credential = self.hub.enrol("audit-01")
        mqtt = Mqtt(credential)
        self.assertEqual(mqtt.publish("d/other/t/temperature", 1), 0x87)
        self.assertEqual(mqtt.publish("d/audit-01/t/temperature", 1000), 0x99)
        self.assertGreaterEqual(mqtt.subscribe("#"), 0x80)
        mqtt.close()
        time.sleep(1)
        text = json.dumps(self.hub.json("audit", "show"))
        for what in ("publish.refused", "reading.refused", "subscribe.refused"):
            self.assertIn(what, text)


if __name__ == "__main__":
    unittest.main()
