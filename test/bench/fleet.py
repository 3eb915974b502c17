# SPDX-License-Identifier: Apache-2.0
"""A hub directory with a fleet enrolled the proper way (EST over HTTPS), and the same certificates as files that mqttload
and the other brokers read: all are measured with one PKI. Sequential on purpose: nobody's limits are met."""
import base64
import http.client
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import time

LIFE_S = 20 * 24 * 3600  # of the certificates' 30 days: after that everything is made anew
# What the hub can do is measured here, not what it lets one device do.
RATES = "rate messages 10000000/s\n    rate bytes 4000M/s"
LOAD = "publish load/{device}/#\n    subscribe load/{device}/down/#\n    " + RATES
MONITOR = "publish load/{device}/#\n    subscribe load/#\n    " + RATES
PROFILE = """profile %s {
    title "%s"
    vendor "Fairlead"
    model bench
    version 1
    %s
    support-until 2036-12-31
    certificate-life 30d
    stream value {
        range -1e9 1e9
    }
}
"""


def run(*argv, **kwargs):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=120, **kwargs)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, argv))}: {done.stdout}{done.stderr}")
    return done.stdout


class LocalConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def first_certificate(pkcs7):
    """The one certificate of a certs-only answer: SignedData's [0] (RFC 5652)."""
    def element(at):
        size, begin = pkcs7[at + 1], at + 2
        if size & 128:
            begin, size = at + 2 + (size & 127), int.from_bytes(pkcs7[at + 2:at + 2 + (size & 127)], "big")
        return pkcs7[at], begin, begin + size

    at = element(element(0)[1])[2]  # past the content type
    at = element(element(at)[1])[1]  # into [0], into SignedData
    while True:
        tag, begin, end = element(at)
        if tag == 0xA0:
            return pkcs7[begin:element(begin)[2]]
        at = end


class Fleet:
    def __init__(self, folder, binaries, mqtt_port, https_port):
        self.folder, self.bin = pathlib.Path(folder), pathlib.Path(binaries)
        self.hub, self.pki = self.folder / "hub", self.folder / "pki"
        self.ports = mqtt_port, https_port
        self.made = self.folder / "made"

    def ready(self, count):
        """Makes what is missing for `count` devices."""
        stamp = json.loads(self.made.read_text()) if self.made.exists() else None
        if not stamp or time.time() - stamp["at"] > LIFE_S or stamp["ports"] != list(self.ports):
            shutil.rmtree(self.folder, ignore_errors=True)
            self.make_hub()
            stamp = {"at": time.time(), "ports": list(self.ports), "count": 0}
        if stamp["count"] < count:
            self.enrol(["monitor"] * (stamp["count"] == 0) + [f"device-{i:04}" for i in range(stamp["count"] + 1, count + 1)])
            stamp["count"] = count
            self.made.write_text(json.dumps(stamp))

    def make_hub(self):
        (self.pki / "clients").mkdir(parents=True)
        for folder in (self.folder, self.pki, self.pki / "clients"):
            folder.chmod(0o755)
        fairlead = self.bin / "fairlead"
        run(fairlead, "init", self.hub, "--host", "localhost,127.0.0.1", "--mqtt-port", self.ports[0], "--https-port", self.ports[1])
        for name, rights in (("load", LOAD), ("monitor", MONITOR)):
            text = self.folder / f"{name}.profile"
            text.write_text(PROFILE % (name, name, rights))
            run(fairlead, "--hub", self.hub, "profile", "sign", text)
            shutil.copy(text, self.hub / "profiles")
        # The other brokers' server certificate, under the same authority.
        keys, p = self.hub / "keys", self.pki
        run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", p / "server.key")
        run("openssl", "req", "-new", "-key", p / "server.key", "-subj", "/CN=localhost", "-out", p / "server.csr")
        (p / "server.ext").write_text("basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
                                      "extendedKeyUsage=serverAuth\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n")
        leaf = run("openssl", "x509", "-req", "-in", p / "server.csr", "-CA", keys / "issuing.pem", "-CAkey", keys / "issuing.key",
                   "-days", "30", "-set_serial", f"0x1{os.urandom(8).hex()}", "-extfile", p / "server.ext")
        issuing = (keys / "issuing.pem").read_text()
        (p / "server.crt").write_text(leaf + issuing)
        (p / "ca.crt").write_text((self.hub / "ca.pem").read_text() + issuing)
        for file in p.iterdir():
            file.chmod(0o755 if file.is_dir() else 0o644)  # the brokers run as users of their own

    def start(self):
        hub = subprocess.Popen([self.bin / "fairlead-hub", self.hub], stdout=subprocess.PIPE,
                               stderr=open(self.folder / "hub.log", "ab"))
        if hub.stdout.readline() != b"ready\n":
            raise RuntimeError(f"the hub did not start: see {self.folder}/hub.log")
        return hub

    def enrol(self, names):
        print(f"bench: enrolling {len(names)} devices", flush=True)
        hub = self.start()
        try:
            api = LocalConnection(self.hub / "run" / "hub.sock")
            est = http.client.HTTPSConnection("localhost", self.ports[1],
                                              context=ssl.create_default_context(cafile=str(self.hub / "ca.pem")))
            for name in names:
                self.enrol_one(api, est, name)
        finally:
            hub.terminate()
            hub.wait(30)

    def enrol_one(self, api, est, name):
        def call(connection, path, body, **headers):
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
            if answer.status not in (200, 201):
                raise RuntimeError(f"{path} {name}: {answer.status} {data.decode(errors='replace')}")
            return data

        base = self.pki / "clients" / name if name != "monitor" else self.pki / name
        key, cert = f"{base}.key", pathlib.Path(f"{base}.crt")
        run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
        csr = subprocess.run(["openssl", "req", "-new", "-key", key, "-subj", f"/CN={name}", "-outform", "DER"], capture_output=True,
                             check=True).stdout
        profile = "monitor" if name == "monitor" else "load"
        token = json.loads(call(api, "/api/v1/devices", json.dumps({"id": name, "profile": profile}),
                                **{"Content-Type": "application/json"}))["token"]
        basic = base64.b64encode(f"{name}:{token}".encode()).decode()
        answer = call(est, "/.well-known/est/simpleenroll", base64.encodebytes(csr),
                      **{"Content-Type": "application/pkcs10", "Authorization": f"Basic {basic}"})
        cert.write_text(ssl.DER_cert_to_PEM_cert(first_certificate(base64.b64decode(answer))))
        os.chmod(key, 0o644)  # a bench's keys: protect nothing
        if name == "device-0001":
            for kind in ("crt", "key"):
                shutil.copy(f"{base}.{kind}", self.pki / f"client.{kind}")
