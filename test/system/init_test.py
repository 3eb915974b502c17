#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`fairlead init` from outside: what it leaves on disk, checked with openssl, and what it refuses."""
import base64
import datetime
import hashlib
import json
import os
import pathlib
import pty
import shutil
import stat
import subprocess
import tempfile
import unittest

from harness import BIN, run

FAIRLEAD = BIN / "fairlead"


def tree(path):
    """{relative path: (mode, contents or None)}"""
    found = {}
    for entry in sorted(path.rglob("*")):
        mode = stat.S_IMODE(entry.lstat().st_mode)
        found[str(entry.relative_to(path))] = (mode, entry.read_bytes() if entry.is_file() else None)
    return found


class Init(unittest.TestCase):
    def setUp(self):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="fairlead-test-"))
        self.dir = self.work / "hub"

    def tearDown(self):
        shutil.rmtree(self.work, ignore_errors=True)

    def make(self, *args, **kwargs):
        return json.loads(run(FAIRLEAD, "init", self.dir, "--json", *args, **kwargs).stdout)

    def test_openssl_verifies_the_authorities(self):
        made = self.make("--host", "hub.example.net")
        ca, issuing = self.dir / "ca.pem", self.dir / "keys/issuing.pem"
        run("openssl", "verify", "-x509_strict", "-CAfile", ca, issuing)
        self.assertEqual(ca.read_bytes(), (self.dir / "keys/root.pem").read_bytes())
        der = subprocess.run(["openssl", "x509", "-in", ca, "-outform", "DER"], capture_output=True, check=True).stdout
        self.assertEqual(hashlib.sha256(der).hexdigest(), made["root_sha256"])
        shown = run("openssl", "x509", "-in", issuing, "-noout", "-text").stdout
        for words in ("CA:TRUE, pathlen:0", "Certificate Sign, CRL Sign", "NIST CURVE: P-256"):
            self.assertIn(words, shown)
        self.assertIn("CA:TRUE, pathlen:1", run("openssl", "x509", "-in", ca, "-noout", "-text").stdout)
        for cert, days, key in ((ca, 7300, "root.key"), (issuing, 1825, "issuing.key")):
            run("openssl", "x509", "-in", cert, "-noout", "-checkend", (days - 1) * 86400)
            self.assertEqual(run("openssl", "x509", "-in", cert, "-noout", "-checkend", (days + 7) * 86400,
                                 check=False).returncode, 1)
            self.assertEqual(run("openssl", "x509", "-in", cert, "-noout", "-pubkey").stdout,
                             run("openssl", "pkey", "-in", self.dir / "keys" / key, "-pubout").stdout)

    def test_nobody_else_reads_its_secrets(self):
        old = os.umask(0)
        try:
            self.make()
        finally:
            os.umask(old)
        for name, (mode, contents) in tree(self.dir).items():
            secret = contents is not None and (b"PRIVATE KEY" in contents or name in (
                "state/first-admin", "keys/data.key", "keys/device-keys"))
            self.assertEqual(mode & 0o022, 0, name)
            if secret or name in ("keys", "state", "operator", "broker"):
                self.assertEqual(mode & 0o077, 0, name)
        self.assertEqual(sorted(os.listdir(self.work)), ["hub"])

    def test_the_token_is_for_the_record_that_the_hub_keeps(self):
        made = self.make("--host", "192.0.2.10", "--https-port", "9443", "--mqtt-port", "9883")
        record = json.loads((self.dir / "state/first-admin").read_text())
        raw = made["token"].removeprefix("fl1.")
        raw = base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4))
        self.assertEqual(hashlib.sha256(raw[1:17]).hexdigest(), record["sha256"])
        self.assertEqual(raw[17:49].hex(), made["root_sha256"])
        self.assertEqual((raw[0], record["name"], record["expires"]), (2, "admin", made["expires"]))
        left = datetime.datetime.fromisoformat(made["expires"].replace("Z", "+00:00")) - datetime.datetime.now(
            datetime.timezone.utc)
        self.assertAlmostEqual(left.total_seconds(), 86400, delta=120)
        for contents in (c for _, c in tree(self.dir).values() if c):
            self.assertNotIn(made["token"].encode(), contents)
        conf = (self.dir / "hub.conf").read_text()
        self.assertRegex(conf, r"(?m)^host +192\.0\.2\.10$")
        self.assertRegex(conf, r"(?m)^mqtt +9883$")
        self.assertRegex(conf, r"(?m)^https +9443$")

    def test_openssl_verifies_the_profiles(self):
        self.make()
        for path in (self.dir / "profiles").iterdir():
            data = path.read_bytes()
            start = data.rindex(b"signature ES256 ")
            _, _, key_id, encoded = data[start:].split()
            raw = base64.urlsafe_b64decode(encoded + b"=" * (-len(encoded) % 4))
            spki = subprocess.run(["openssl", "pkey", "-pubin", "-in", self.dir / "profile-keys.pem", "-outform", "DER"],
                                  capture_output=True, check=True).stdout
            self.assertEqual(hashlib.sha256(spki).hexdigest()[:16], key_id.decode())
            der = b"".join(b"\x02" + bytes([len(n)]) + n for n in (
                (b"\0" + n if n[0] & 0x80 else n) for n in (raw[:32].lstrip(b"\0"), raw[32:].lstrip(b"\0"))))
            (self.work / "sig").write_bytes(b"\x30" + bytes([len(der)]) + der)
            (self.work / "text").write_bytes(data[:start])
            run("openssl", "dgst", "-sha256", "-verify", self.dir / "profile-keys.pem", "-signature", self.work / "sig",
                self.work / "text")

    def test_nothing_is_ever_overwritten(self):
        self.make()
        before = tree(self.dir)
        done = run(FAIRLEAD, "init", self.dir, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("nothing is ever overwritten", done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertEqual(tree(self.dir), before)
        (self.work / "file").write_text("mine")
        self.assertEqual(run(FAIRLEAD, "init", self.work / "file", check=False).returncode, 1)
        self.assertEqual((self.work / "file").read_text(), "mine")
        (self.work / "used").mkdir()
        (self.work / "used/.hidden").write_text("mine")
        self.assertEqual(run(FAIRLEAD, "init", self.work / "used", check=False).returncode, 1)
        self.assertEqual(os.listdir(self.work / "used"), [".hidden"])

    def test_the_current_folder_can_become_a_hub(self):
        self.dir.mkdir()
        run(FAIRLEAD, "init", ".", cwd=self.dir)
        self.assertTrue((self.dir / "hub.conf").exists())
        self.assertEqual([n for n in os.listdir(self.dir) if n.startswith(".")], [])

    def test_a_full_disk_leaves_nothing_behind(self):
        # A file size limit stands in for the full disk: each write beyond it fails.
        done = run("bash", "-c", f"trap '' XFSZ; ulimit -f 0; {FAIRLEAD} init {self.dir} 2>&1 | cat", check=False)
        self.assertIn("fairlead: init:", done.stdout)
        self.assertEqual(os.listdir(self.work), [])

    def test_every_kill_leaves_a_whole_hub_or_none(self):
        self.make()
        whole = {name: mode for name, (mode, _) in tree(self.dir).items()}
        self.assertLessEqual({"hub.conf", "keys/data.key", "keys/device-keys", "broker", "state/first-admin"}, set(whole))
        shutil.rmtree(self.dir)
        for delay_ms in range(0, 60, 4):
            process = subprocess.Popen([FAIRLEAD, "init", self.dir], stdout=subprocess.DEVNULL)
            try:
                process.wait(delay_ms / 1000)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if self.dir.exists():
                self.assertEqual({name: mode for name, (mode, _) in tree(self.dir).items()}, whole)
            for entry in self.work.iterdir():
                shutil.rmtree(entry)

    def test_the_root_key_can_be_sealed(self):
        secret = self.work / "passphrase"
        secret.write_text("correct horse\n")
        self.assertTrue(self.make("--root-passphrase-file", secret)["root_key_sealed"])
        key = self.dir / "keys/root.key"
        self.assertIn("ENCRYPTED", key.read_text())
        run("openssl", "pkey", "-in", key, "-passin", f"file:{secret}", "-noout", "-check")
        self.assertNotEqual(run("openssl", "pkey", "-in", key, "-passin", "pass:wrong", "-noout", check=False).returncode,
                            0)

    def ask(self, *lines):
        """Runs init on a terminal of its own and answers each question; (exit code, what was shown)."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(FAIRLEAD, ["fairlead", "init", str(self.dir), "--root-passphrase-file", "-"])
        shown = b""
        for line in lines:
            while not shown.endswith(b": "):
                shown += os.read(terminal, 1024)
            os.write(terminal, line)
            shown += b"|"
        while True:
            try:
                more = os.read(terminal, 4096)
            except OSError:
                break
            if not more:
                break
            shown += more
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
        return os.waitstatus_to_exitcode(status), shown.decode()

    def test_a_passphrase_is_asked_for_twice_and_never_shown(self):
        code, shown = self.ask(b"correct horse\n", b"correct hose\n")
        self.assertEqual(code, 1)
        self.assertIn("differ", shown)
        code, shown = self.ask(b"\x03")
        self.assertEqual(code, 1)
        self.assertIn("cancelled", shown)
        self.assertEqual(os.listdir(self.work), [])
        code, shown = self.ask(b"correct horse\n", b"correct horse\n")
        self.assertEqual(code, 0)
        self.assertNotIn("correct horse", shown)
        run("openssl", "pkey", "-in", self.dir / "keys/root.key", "-passin", "pass:correct horse", "-noout")

    def test_mistakes_in_typing_have_exit_code_2(self):
        for args in ((), (self.dir, "x"), (self.dir, "--host", "a b"), (self.dir, "--mqtt-port", "0"),
                     (self.dir, "--https-port", "99999"), (self.dir, "--hots", "a"), (self.dir, "--host")):
            done = run(FAIRLEAD, "init", *args, check=False)
            self.assertEqual(done.returncode, 2, args)
            self.assertIn("init", done.stderr)
            self.assertFalse(self.dir.exists())
        self.assertIn("--host", run(FAIRLEAD, "init", "--help").stdout)


if __name__ == "__main__":
    unittest.main()
