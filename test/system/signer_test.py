#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""fairlead-signer by itself: we are its parent and its hub, and speak the frames of codec/msg by hand."""
import base64
import hashlib
import json
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import tempfile
import unittest

from harness import BIN, run, wait_for

START, CHANNEL, READY, LOST = 1, 2, 4, 5
SIGNER_HELLO, SIGN, SIGN_RESULT = 48, 49, 50
DATA_KEY, DATA_KEY_ERASE, DATA_KEY_RESULT = 51, 52, 53
OK, PARSE, DENIED, AUTH, INVAL, EXPIRED, BUSY = 0, 2, 8, 9, 1, 10, 17


def text(value):
    data = value if isinstance(value, bytes) else str(value).encode()
    return struct.pack("<I", len(data)) + data


def frame(kind, *fields):
    body = struct.pack("<H", kind) + b"".join(fields)
    return struct.pack("<I", len(body)) + body


class Reader:
    """The fields of a frame, one after the other."""

    def __init__(self, data):
        self.data = data

    def number(self, form):
        size = struct.calcsize(form)
        value = struct.unpack(form, self.data[:size])[0]
        self.data = self.data[size:]
        return value

    def bytes(self):
        size = self.number("<I")
        value, self.data = self.data[:size], self.data[size:]
        return value


def receive(sock):
    """(type, fields), or None at the end."""
    head = b""
    while len(head) < 4:
        got = sock.recv(4 - len(head))
        if not got:
            return None
        head += got
    size, body = struct.unpack("<I", head)[0], b""
    while len(body) < size:
        got = sock.recv(size - len(body))
        if not got:
            return None
        body += got
    return struct.unpack("<H", body[:2])[0], Reader(body[2:])


class Signer(unittest.TestCase):
    def setUp(self):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="fairlead-test-"))
        os.chmod(self.work, 0o755)
        self.dir = self.work / "hub"
        run(BIN / "fairlead", "init", self.dir, "--host", "hub.example.net,127.0.0.1")
        if os.geteuid() == 0:  # what fairlead-hub does before it starts its children
            for path in (self.dir / "keys", *(self.dir / "keys").iterdir()):
                if path.name != "root.key":
                    os.chown(path, 61401, 61401)
        self.process = None
        self.sockets = []
        self.log = open(self.work / "log", "w+b")

    def tearDown(self):
        for sock in self.sockets:
            sock.close()
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.seek(0)
        log = self.log.read().decode(errors="replace")
        self.log.close()
        for mark in ("ERROR: AddressSanitizer", "runtime error:"):
            self.assertNotIn(mark, log)
        shutil.rmtree(self.work, ignore_errors=True)

    def start(self):
        self.parent, child = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        number = child.fileno()
        self.process = subprocess.Popen([BIN / "fairlead-signer"], stderr=self.log, pass_fds=(3,) if number == 3 else (),
                                        preexec_fn=None if number == 3 else lambda: os.dup2(number, 3), close_fds=False)
        child.close()
        self.sockets.append(self.parent)
        self.parent.settimeout(30)
        self.parent.sendall(frame(START, text(self.dir), text("info"), struct.pack("<I", 1), text("")))

    def ready(self):
        self.start()
        kind, _ = receive(self.parent)
        self.assertEqual(kind, READY)

    def channel(self):
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        socket.send_fds(self.parent, [frame(CHANNEL, text("hub"))], [theirs.fileno()])
        theirs.close()
        self.sockets.append(mine)
        mine.settimeout(30)
        kind, fields = receive(mine)
        self.assertEqual(kind, SIGNER_HELLO)
        self.issuing, self.root = fields.bytes(), fields.bytes()
        self.assertEqual(fields.bytes(), self.front_key())
        return mine

    def front_key(self):
        pem = (self.dir / "keys/data.key").read_text().splitlines()
        key = base64.b64decode(pem[1]).hex()
        return bytes.fromhex(run("openssl", "kdf", "-keylen", "32", "-kdfopt", "digest:SHA256", "-kdfopt", f"hexkey:{key}",
                                 "-kdfopt", "info:fairlead front log 1", "HKDF").stdout.replace(":", ""))

    def csr(self, name, *args):
        path = self.work / "csr.der"
        run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
            self.work / "key.pem", "-subj", f"/CN={name}", "-outform", "DER", "-out", path, *args)
        return path.read_bytes()

    def sign(self, hub, kind, name, csr, validity_s=7 * 86400):
        hub.sendall(frame(SIGN, struct.pack("<Q", 9), text(kind), text(name), struct.pack("<I", validity_s), text(csr),
                          text("a test")))
        kind, fields = receive(hub)
        self.assertEqual(kind, SIGN_RESULT)
        self.assertEqual(fields.number("<Q"), 9)
        error, detail, certificate = fields.number("<I"), fields.bytes().decode(), fields.bytes()
        if error == OK:
            self.assertEqual(detail, "")
        else:
            self.assertNotEqual(detail, "")
            self.assertEqual(certificate, b"")
        return error, detail, certificate

    def verify(self, certificate, purpose):
        for name, der in (("leaf", certificate), ("issuing", self.issuing)):
            (self.work / f"{name}.der").write_bytes(der)
            run("openssl", "x509", "-inform", "DER", "-in", self.work / f"{name}.der", "-out", self.work / f"{name}.pem")
        run("openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", self.dir / "ca.pem", "-untrusted",
            self.work / "issuing.pem", self.work / "leaf.pem")

    def test_it_issues_what_openssl_verifies(self):
        self.ready()
        hub = self.channel()
        error, _, certificate = self.sign(hub, "device", "cam-01", self.csr("cam-01"))
        self.assertEqual(error, OK)
        self.verify(certificate, "sslclient")
        error, _, certificate = self.sign(hub, "server", "hub.example.net", self.csr("hub.example.net"))
        self.assertEqual(error, OK)
        self.verify(certificate, "sslserver")
        shown = run("openssl", "x509", "-in", self.work / "leaf.pem", "-noout", "-ext", "subjectAltName").stdout
        self.assertIn("DNS:hub.example.net, IP Address:127.0.0.1", shown)

    def test_it_refuses_what_its_policy_forbids_whatever_the_hub_says(self):
        self.ready()
        hub = self.channel()
        csr = self.csr("cam-01")
        self.assertEqual(self.sign(hub, "root", "cam-01", csr)[0], DENIED)
        self.assertEqual(self.sign(hub, "device", "cam-02", csr)[0], DENIED)
        self.assertEqual(self.sign(hub, "server", "evil.example.net", self.csr("evil.example.net"))[0], DENIED)
        self.assertEqual(self.sign(hub, "device", "cam-01", csr, 31 * 86400)[0], INVAL)
        self.assertEqual(self.sign(hub, "device", "cam-01", csr + b"\0")[0], PARSE)
        self.assertEqual(self.sign(hub, "device", "cam-01", csr[:-1] + bytes([csr[-1] ^ 1]))[0], AUTH)
        self.assertEqual(self.sign(hub, "device", "cam-01", self.csr("cam-01", "-addext", "basicConstraints=CA:TRUE"))[0],
                         DENIED)
        self.assertEqual(self.sign(hub, "device", "cam-01", csr)[0], OK)

    def key(self, hub, kind, device, *fields):
        hub.sendall(frame(kind, struct.pack("<Q", 4), text(device), *fields))
        kind, answer = receive(hub)
        self.assertEqual((kind, answer.number("<Q")), (DATA_KEY_RESULT, 4))
        error, _, _ = answer.number("<I"), answer.bytes(), answer.bytes()
        generation, erased, key = answer.number("<I"), answer.number("<I"), answer.bytes()
        return error, generation, erased, key

    def test_it_keeps_the_devices_keys_in_one_file_and_destroys_them_there(self):
        self.ready()
        hub = self.channel()
        first = struct.pack("<IB", 1, 1)
        error, generation, erased, key = self.key(hub, DATA_KEY, "cam-01", first)
        self.assertEqual((error, generation, erased, len(key)), (OK, 1, 0, 32))
        path = self.dir / "keys/device-keys"
        before = path.read_bytes()
        self.assertEqual(len(before), 320)
        self.assertNotIn(key, before)
        self.process.kill()
        self.process.wait()
        self.ready()
        hub = self.channel()
        self.assertEqual(self.key(hub, DATA_KEY, "cam-01", first)[3], key)
        self.assertEqual(self.key(hub, DATA_KEY_ERASE, "cam-01")[:3], (OK, 0, 1))
        self.assertEqual(path.read_bytes()[256:], bytes(64))
        self.assertEqual(self.key(hub, DATA_KEY, "cam-01", first), (EXPIRED, 1, 1, b""))

    def test_a_hub_that_breaks_the_contract_loses_its_channel(self):
        for nonsense in (b"\xff" * 64, frame(999), frame(SIGN, b"short"), frame(20, struct.pack("<Q", 1))):
            self.ready()
            hub = self.channel()
            hub.sendall(nonsense)
            self.assertIsNone(receive(hub))
            self.process.kill()
            self.process.wait()

    def test_a_new_channel_replaces_the_old_one(self):
        self.ready()
        old = self.channel()
        new = self.channel()
        self.assertIsNone(receive(old))
        self.assertEqual(self.sign(new, "device", "cam-01", self.csr("cam-01"))[0], OK)

    def issued(self, *argv, check=True):
        return run(BIN / "fairlead", "--hub", self.dir, "audit", *argv, check=check)

    def test_what_it_signed_is_in_its_log_before_the_answer_and_after_a_kill(self):
        self.ready()
        hub = self.channel()
        csr = self.csr("cam-01")
        certificates = [self.sign(hub, "device", "cam-01", csr)[2] for _ in range(3)]
        self.assertEqual(self.sign(hub, "device", "cam-02", csr)[0], DENIED)
        self.process.kill()
        self.process.wait()
        rows = json.loads(self.issued("issued", "--json").stdout)
        self.assertEqual([r["kind"] for r in rows], ["device"] * 3 + ["refused"])
        self.assertEqual([r["sha256"] for r in rows[:3]], [hashlib.sha256(c).hexdigest() for c in certificates])
        self.assertEqual(rows[0]["reason"], "a test")
        self.assertIn("the request is for 'cam-01', not for 'cam-02'", rows[3]["detail"])

    def test_requests_that_come_together_are_answered_together(self):
        self.ready()
        hub = self.channel()
        csrs = [self.csr(f"cam-{i}") for i in range(20)]
        hub.sendall(b"".join(frame(SIGN, struct.pack("<Q", i), text("device"), text(f"cam-{i}"), struct.pack("<I", 86400),
                                   text(csr), text("")) for i, csr in enumerate(csrs)))
        for i in range(20):
            kind, fields = receive(hub)
            self.assertEqual((kind, fields.number("<Q"), fields.number("<I")), (SIGN_RESULT, i, OK))

    def test_it_ends_with_a_signed_checkpoint(self):
        self.ready()
        hub = self.channel()
        self.assertEqual(self.sign(hub, "device", "cam-01", self.csr("cam-01"))[0], OK)
        self.parent.close()
        self.assertEqual(self.process.wait(30), 0)
        self.assertEqual([r["kind"] for r in json.loads(self.issued("issued", "--json").stdout)], ["device", "checkpoint"])

    def test_a_torn_record_is_cut_off_and_the_log_says_so(self):
        self.ready()
        hub = self.channel()
        csr = self.csr("cam-01")
        self.assertEqual(self.sign(hub, "device", "cam-01", csr)[0], OK)
        self.process.kill()
        self.process.wait()
        path = self.dir / "keys/issued/issued-0000000000000001.seg"
        with open(path, "ab") as log:
            log.write(path.read_bytes()[:100])
        self.ready()
        self.assertEqual(self.sign(self.channel(), "device", "cam-01", csr)[0], OK)
        rows = json.loads(self.issued("issued", "--json").stdout)
        self.assertEqual([r["kind"] for r in rows], ["device", "repaired", "device"])
        self.assertIn("cut off 100 octets", rows[1]["detail"])

    def test_it_does_not_start_on_a_log_that_is_damaged_inside(self):
        self.ready()
        hub = self.channel()
        csr = self.csr("cam-01")
        for _ in range(3):
            self.assertEqual(self.sign(hub, "device", "cam-01", csr)[0], OK)
        self.process.kill()
        self.process.wait()
        path = self.dir / "keys/issued/issued-0000000000000001.seg"
        data = bytearray(path.read_bytes())
        data[300] ^= 1
        path.write_bytes(data)
        self.start()
        self.assertEqual(self.process.wait(30), 78)
        wait_for(lambda: "what was written at octet" in (self.work / "log").read_text(), say="words in the log")

    def test_a_device_gets_no_more_than_its_share(self):
        self.ready()
        hub = self.channel()
        csr = self.csr("cam-01")
        for _ in range(10):
            self.assertEqual(self.sign(hub, "device", "cam-01", csr)[0], OK)
        error, detail, _ = self.sign(hub, "device", "cam-01", csr)
        self.assertEqual(error, BUSY)
        self.assertIn("cam-01 got 10 certificates within an hour", detail)

    def test_it_cannot_do_anything_else(self):
        self.ready()
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        self.assertIn("Seccomp:\t2", status)
        self.assertIn("NoNewPrivs:\t1", status)
        if os.geteuid() == 0:
            self.assertIn("Uid:\t61401\t61401\t61401\t61401", status)

    def test_it_does_not_start_with_a_key_that_others_can_read(self):
        os.chmod(self.dir / "keys/issuing.key", 0o644)
        self.start()
        self.assertEqual(self.process.wait(30), 78)
        wait_for(lambda: "others can read this key" in (self.work / "log").read_text(), say="words in the log")

    def test_it_ends_with_its_parent(self):
        self.ready()
        self.parent.close()
        self.assertEqual(self.process.wait(30), 0)


if __name__ == "__main__":
    unittest.main()
