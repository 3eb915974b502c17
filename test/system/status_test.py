#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Whether a certificate is good, as others see it: openssl is the client and the judge, over plain HTTP and HTTPS."""
import base64
import os
import signal
import socket
import time
import unittest
import urllib.parse

from harness import Hub, Mqtt, Refused, free_ports, run, wait_for

CRL = "/.well-known/fairlead/crl"


class StatusTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.hub = Hub()
        cls.port = free_ports(1)[0]
        cls.url = f"http://localhost:{cls.port}"
        with open(cls.hub.dir / "hub.conf", "a", encoding="utf-8") as conf:
            conf.write(f"status-listen {cls.port}\nstatus-url {cls.url}\n")
        cls.hub.start()
        cls.issuer = cls.hub.work / "issuer.pem"
        der = cls.hub.work / "issuer.der"
        run("curl", "-sS", "-f", "-o", der, cls.url + "/.well-known/fairlead/issuer")
        run("openssl", "x509", "-inform", "DER", "-in", der, "-out", cls.issuer)

    @classmethod
    def tearDownClass(cls):
        cls.hub.__exit__()

    def curl(self, path, *argv, base=None):
        """(HTTP status, body, headers in lower case)"""
        body, head = self.hub.work / "body", self.hub.work / "head"
        body.write_bytes(b"")
        done = run("curl", "-sS", "--cacert", self.hub.dir / "ca.pem", "-o", body, "-D", head, "-w", "%{http_code}", *argv,
                   (base or self.url) + path)
        return int(done.stdout), body.read_bytes(), head.read_text().lower()

    def crl(self):
        """The list as text, kept in crl.pem."""
        status, der, _ = self.curl(CRL)
        self.assertEqual(status, 200)
        path = self.hub.work / "crl.der"
        path.write_bytes(der)
        run("openssl", "crl", "-inform", "DER", "-in", path, "-out", self.hub.work / "crl.pem")
        return run("openssl", "crl", "-inform", "DER", "-in", path, "-noout", "-text", "-CAfile", self.issuer).stdout

    def number(self):
        lines = [line.strip() for line in self.crl().splitlines()]
        return int(lines[lines.index("X509v3 CRL Number:") + 1])

    def verify(self, credential):
        """What openssl verify -crl_check says with the list that crl() got last."""
        chain = self.hub.work / "chain.pem"
        chain.write_text(self.issuer.read_text() + (self.hub.dir / "ca.pem").read_text(), encoding="utf-8")
        done = run("openssl", "verify", "-crl_check", "-CRLfile", self.hub.work / "crl.pem", "-CAfile", chain, credential.cert,
                   check=False)
        return done.stdout + done.stderr

    def serial(self, credential):
        return run("openssl", "x509", "-in", credential.cert, "-noout", "-serial").stdout.strip().split("=")[1]

    def ocsp(self, credential, *argv):
        done = run("openssl", "ocsp", "-issuer", self.issuer, *argv, "-cert", credential.cert, "-CAfile", self.hub.dir / "ca.pem", "-url",
                   self.url + "/ocsp", check=False)
        self.assertIn("Response verify OK", done.stderr, done.stdout + done.stderr)
        return done.stdout

    def request(self, *argv):
        path = self.hub.work / "request.der"
        run("openssl", "ocsp", "-issuer", self.issuer, *argv, "-reqout", path)
        return path.read_bytes()

    def answer(self, der):
        """What openssl reads in a response."""
        path = self.hub.work / "response.der"
        path.write_bytes(der)
        done = run("openssl", "ocsp", "-respin", path, "-issuer", self.issuer, "-CAfile", self.hub.dir / "ca.pem", "-resp_text",
                   check=False)
        return done.stdout + done.stderr

    def post(self, der, base=None):
        path = self.hub.work / "post.der"
        path.write_bytes(der)
        return self.curl("/ocsp", "-H", "Content-Type: application/ocsp-request", "--data-binary", f"@{path}", base=base)

    # --- the list ---

    def test_certificates_name_where_their_status_is(self):
        credential = self.hub.enrol("named")
        text = run("openssl", "x509", "-in", credential.cert, "-noout", "-text").stdout
        self.assertIn(f"URI:{self.url}{CRL}", text)
        self.assertEqual(run("openssl", "x509", "-in", credential.cert, "-noout", "-ocsp_uri").stdout.strip(), self.url + "/ocsp")

    def test_revoked_and_held_are_in_the_list_soon(self):
        lost, odd, retired = (self.hub.enrol(name) for name in ("lost", "odd", "retired"))
        self.assertNotIn(self.serial(lost), self.crl())
        self.assertIn(": OK", self.verify(lost))
        for verb, credential in (("revoke", lost), ("hold", odd), ("retire", retired)):
            self.hub.json("device", verb, credential.id)
            wait_for(lambda c=credential: self.serial(c) in self.crl(), 5)
            self.assertIn("certificate revoked", self.verify(credential))
        text = self.crl()
        self.assertIn("verify OK", run("openssl", "crl", "-in", self.hub.work / "crl.pem", "-noout", "-CAfile", self.issuer).stderr)
        reasons = {block.splitlines()[0].strip(): block for block in text.split("Serial Number: ")[1:]}
        self.assertIn("Certificate Hold", reasons[self.serial(odd)])
        self.assertIn("Cessation Of Operation", reasons[self.serial(retired)])
        self.assertNotIn("Reason Code", reasons[self.serial(lost)])
        self.hub.json("device", "release", "odd")
        wait_for(lambda: self.serial(odd) not in self.crl(), 5)
        self.assertIn(": OK", self.verify(odd))

    def test_a_client_that_has_the_list_is_told_so(self):
        status, body, head = self.curl(CRL)
        self.assertIn("content-type: application/pkix-crl", head)
        self.assertIn("cache-control: max-age=", head)
        etag = [line.split(": ", 1)[1] for line in head.splitlines() if line.startswith("etag:")][0]
        self.assertEqual((status, self.curl(CRL, "-H", f"If-None-Match: {etag}")[0]), (200, 304))
        self.assertEqual(self.curl(CRL, base=f"https://localhost:{self.hub.https_port}")[1], body)

    def test_numbers_never_go_back(self):
        credential = self.hub.enrol("restarted")
        self.hub.json("device", "revoke", "restarted")
        wait_for(lambda: self.serial(credential) in self.crl(), 5)
        before = self.number()
        self.hub.stop()
        self.hub.start()
        self.assertIn(self.serial(credential), self.crl())
        after = self.number()
        self.assertGreater(after, before)
        for program in ("fairlead-control", "fairlead-front", "fairlead-signer"):
            os.kill(self.hub.children()[program], signal.SIGKILL)
            wait_for(lambda p=program: p in self.hub.children(), 20)
            self.hub.add(f"after-{program}")
            wait_for(lambda: self.curl(CRL)[0] == 200, 20)
            self.assertGreaterEqual(self.number(), after)
            self.assertIn(self.serial(credential), self.crl())
            after = self.number()

    # --- holding ---

    def test_a_held_device_is_cut_off_and_comes_back_after_release(self):
        credential = self.hub.enrol("held")
        client = Mqtt(credential)
        self.assertEqual(client.publish("d/held/t/temperature", "21.5"), 0)
        self.assertIn(": good", self.ocsp(credential))
        rehearsal = self.hub.json("device", "hold", "held", "--dry-run")
        self.assertIn("hold 1 certificate", rehearsal["effects"])
        self.assertIn(": good", self.ocsp(credential))
        outcome = self.hub.json("device", "hold", "held", "--reason", "its key may have leaked")
        self.assertEqual((outcome["kind"], outcome["sessions_closed"]), ("hold", 1))
        client.wait_closed()
        session = client.tls.session
        # The front has been told before the answer: the very next question has the new answer.
        text = self.ocsp(credential)
        self.assertIn(": revoked", text)
        self.assertIn("Reason: certificateHold", text)
        for kwargs in ({}, {"session": session, "context": client.context}):
            with self.assertRaisesRegex(Refused, "revoked|REVOKED"):
                Mqtt(credential, **kwargs)
        shown = self.hub.device("held")
        self.assertEqual((shown["state"], shown["posture"], shown["credential"]["state"]), ("active", "held", "held"))
        self.assertIn("its key may have leaked", shown["posture_reason"])
        self.hub.json("device", "release", "held")
        self.assertIn(": good", self.ocsp(credential))
        client = Mqtt(credential)
        self.assertEqual(client.publish("d/held/t/temperature", "22.5"), 0)
        client.close()

    def test_a_hold_ends_by_itself(self):
        credential = self.hub.enrol("brief")
        self.hub.json("device", "hold", "brief", "--for", "1s")
        with self.assertRaises(Refused):
            Mqtt(credential)
        wait_for(lambda: self.hub.device("brief")["posture"] == "ok", 10)
        Mqtt(credential).close()
        wait_for(lambda: ": good" in self.ocsp(credential), 5)

    def test_a_held_device_may_enrol_anew_and_the_old_key_is_superseded(self):
        credential = self.hub.enrol("rekeyed")
        self.hub.json("device", "hold", "rekeyed")
        fresh = type(credential)(self.hub, "rekeyed")
        status, body = fresh.request(self.hub.json("device", "token", "rekeyed")["token"])
        self.assertEqual(status, 200)
        fresh.accept(body)
        Mqtt(fresh).close()
        self.assertIn("Reason: superseded", self.ocsp(credential))
        self.assertIn(": good", self.ocsp(fresh))

    # --- OCSP ---

    def test_get_and_post_both_hashes_and_both_listeners(self):
        credential = self.hub.enrol("asked")
        for digest in ("-sha1", "-sha256"):
            for bodies in range(2):  # asked of the hub, then kept
                self.assertIn(": good", self.ocsp(credential, digest), bodies)
        der = self.request("-sha256", "-no_nonce", "-cert", credential.cert)
        text = urllib.parse.quote(base64.b64encode(der).decode(), safe="")
        for base in (self.url, f"https://localhost:{self.hub.https_port}"):
            status, body, head = self.curl(f"/ocsp/{text}", base=base)
            self.assertEqual(status, 200)
            self.assertIn("content-type: application/ocsp-response", head)
            self.assertIn("Cert Status: good", self.answer(body))
            self.assertEqual(self.post(der, base)[1], body)
        etag = [line.split(": ", 1)[1] for line in head.splitlines() if line.startswith("etag:")][0]
        self.assertEqual(self.curl(f"/ocsp/{text}", "-H", f"If-None-Match: {etag}")[0], 304)

    def test_unknown_and_several_in_one_request(self):
        one, two = self.hub.enrol("one-of"), self.hub.enrol("two-of")
        self.hub.json("device", "revoke", "two-of")
        der = self.request("-no_nonce", "-cert", one.cert, "-cert", two.cert, "-serial", "0x0badcafe")
        text = self.answer(self.post(der)[1])
        self.assertEqual([text.count(f"Cert Status: {s}") for s in ("good", "revoked", "unknown")], [1, 1, 1], text)
        done = run("openssl", "ocsp", "-issuer", self.issuer, "-serial", "4711", "-CAfile", self.hub.dir / "ca.pem", "-url",
                   self.url + "/ocsp")
        self.assertIn("4711: unknown", done.stdout)

    def test_what_is_wrong_gets_the_right_status(self):
        good = self.request("-no_nonce", "-serial", "1")
        other = self.hub.work / "other.pem"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
            self.hub.work / "other.key", "-subj", "/CN=other", "-out", other)
        path = self.hub.work / "foreign.der"
        run("openssl", "ocsp", "-issuer", other, "-serial", "1", "-reqout", path)
        many = self.request("-no_nonce", *(word for i in range(1, 6) for word in ("-serial", str(i))))
        cases = [(b"", 1), (b"rubbish", 1), (good[:-1], 1), (good + b"\0", 1), (b"\x30\x80" + good[2:], 1), (b"\x30" * 2000, 1),
                 (good * 60, 1), (path.read_bytes(), 6), (many, 6)]
        for der, wanted in cases:
            status, body, _ = self.post(der)
            self.assertEqual((status, body), (200, bytes([0x30, 3, 0x0a, 1, wanted])), der[:20])
        self.assertEqual(self.curl("/ocsp/not%20base64")[1], bytes([0x30, 3, 0x0a, 1, 1]))
        self.assertEqual(self.curl("/ocsp/")[1], bytes([0x30, 3, 0x0a, 1, 1]))
        self.assertEqual(self.curl("/ocsp", "--data-binary", "x")[0], 415)
        self.assertEqual(self.curl("/ocsp")[0], 405)
        self.assertEqual(self.curl(CRL, "-X", "POST")[0], 405)

    def test_nothing_else_is_on_the_plain_port(self):
        for path in ("/", "/api/v1/health", "/metrics", "/mqtt", "/.well-known/est/cacerts"):
            self.assertEqual(self.curl(path)[0], 404, path)

    def test_bytes_flipped_in_requests_harm_nothing(self):
        good = self.request("-serial", "0x41414141")
        for at in range(len(good)):
            with socket.create_connection(("127.0.0.1", self.port), timeout=10) as s:
                body = good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1:]
                s.sendall(b"POST /ocsp HTTP/1.1\r\nHost: a\r\nContent-Type: application/ocsp-request\r\nConnection: close\r\n"
                          b"Content-Length: %d\r\n\r\n" % len(body) + body)
                self.assertTrue(s.recv(100).startswith(b"HTTP/1.1 200"))

    # --- storms ---

    def test_a_thousand_revocations_in_a_row_share_lists(self):
        credential = self.hub.enrol("stormy")
        before, started = self.number(), time.monotonic()
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.hub.dir / "run/hub.sock"))
            stream = s.makefile("rb")
            for i in range(1001):  # held at the end
                s.sendall(b"POST /api/v1/devices/stormy/%s HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n" %
                          (b"hold", b"release")[i % 2:i % 2 + 1])
                self.assertEqual(stream.readline().split()[1], b"200")
                size = 0
                for line in iter(stream.readline, b"\r\n"):
                    if line.lower().startswith(b"content-length:"):
                        size = int(line.split(b":")[1])
                stream.read(size)
        self.assertIn(": revoked", self.ocsp(credential))
        wait_for(lambda: self.serial(credential) in self.crl(), 5)
        self.assertLessEqual(self.number() - before, 5 * (time.monotonic() - started) + 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
