#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measures the hub, alone or beside other brokers, with the load generator `mqttload` whose folder LOAD names.

    test/bench/bench.py [--peers hub,mosquitto,nats] [--suites core,resume,memory,retain] [--reps 3] [--table docs/bench.md]

All serve mutual TLS 1.3 on 127.0.0.1 with one PKI (fleet.py). Rounds are interleaved: each peer in turn, in another order each
round; figures are medians. CPU is the server's, all of its processes: those that the load generator does not watch are
counted from its first connection to its last. Ends only what it started, by pid."""
import argparse
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

import fleet

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TICK = os.sysconf("SC_CLK_TCK")
PORTS = {"hub": 21101, "mosquitto": 21111, "nats": 21121, "flashmq": 21131, "floor": 21141}
RETAIN_DEVICES, RETAIN_EACH = 20, 1000  # a device may keep 1000

# work, unit, key of the result, target
ROWS = [
    ("QoS 0, 256 B, 50 publishers", "CPU-s per million", "q0", 7.5),
    ("QoS 1, 256 B, 50 publishers", "CPU-s per million", "q1", 10),
    ("QoS 0, 64 B, 16 a write", "CPU-s per million", "batch16", 1.2),
    ("fan-out x100, QoS 0, 64 B", "CPU-s per million", "fanout100", 2),
    ("full handshake, client certificate", "CPU-s per 1000", "full", 1.5),
    ("resumed handshake", "CPU-s per 1000", "resumed", 0.6),
    ("memory of an idle connection", "bytes", "memory", 20000),
    ("QoS 1 at 5000/s, p50", "µs", "p50", 69),
    ("QoS 1 at 5000/s, p99", "µs", "p99", 2700),
    ("retained message of 100 B", "bytes", "retained", 400),
]


class Processes:
    """CPU seconds and resident bytes of a process and its children."""

    def __init__(self, root, watched=None):
        self.root, self.watched = root, watched

    def all(self):
        found, new = [self.root], [self.root]
        while new:
            try:
                text = " ".join(pathlib.Path(f"/proc/{p}/task/{p}/children").read_text() for p in new)
            except OSError:
                break
            new = [int(p) for p in text.split()]
            found += new
        return found

    def sample(self):
        """(CPU seconds, resident bytes) of all but the watched one, then of all."""
        result = {}
        for pid in self.all():
            try:
                fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            result[pid] = (int(fields[11]) + int(fields[12])) / TICK, int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
        others = [v for p, v in result.items() if p != self.watched]
        return {"other_cpu": sum(v[0] for v in others), "other_rss": sum(v[1] for v in others),
                "cpu": sum(v[0] for v in result.values()), "rss": sum(v[1] for v in result.values())}


class Peer:
    def __init__(self, bench, name):
        self.bench, self.name, self.port = bench, name, PORTS[name]
        self.dir = bench.work / name
        self.process = None

    def __enter__(self):
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir(parents=True)
        self.dir.chmod(0o777)
        script = HERE / "hub.sh" if self.name == "hub" else self.bench.load / "peers" / f"{self.name}.sh"
        env = dict(os.environ, DIR=str(self.dir), PKI=str(self.bench.fleet.pki), PLAIN=str(self.port - 1), TLS=str(self.port), PERSIST="0",
                   NOFILE="30000", WANT="tls", BIN=str(self.bench.bin), HUB=str(self.bench.fleet.hub),
                   FLOOR=str(self.bench.tools / "tlsfloor"))
        with open(self.dir / "stdout", "ab") as log:
            self.process = subprocess.Popen([script], env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        for _ in range(300):
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}: see {self.dir}/stdout")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        time.sleep(1)
        self.processes = Processes(self.process.pid, self.watched())
        return self

    def watched(self):
        """The process that carries the messages."""
        for pid in Processes(self.process.pid).all():
            if b"fairlead-front" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]:
                return pid
        return self.process.pid

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def load(self, *argv, timeout=400):
        p = self.bench.fleet.pki
        # The root alone: with the issuing certificate at hand a client would send its whole chain, as devices do not.
        command = [self.bench.tools / "mqttload", *argv, "--port", self.port, "--ca", self.bench.fleet.hub / "ca.pem", "--cert", p / "client.crt", "--key",
                   p / "client.key", "--cert-dir", p / "clients", "--sub-cert", p / "monitor.crt", "--sub-key", p / "monitor.key",
                   "--server-pid", self.processes.watched]
        before, start = self.processes.sample(), time.monotonic()
        done = subprocess.run([str(a) for a in command], capture_output=True, text=True, timeout=timeout)
        after, took_s = self.processes.sample(), time.monotonic() - start
        if not done.stdout.strip():
            raise RuntimeError(f"{self.name}: {argv[0]}: {done.stderr.strip()[-300:]}")
        result = json.loads(done.stdout.strip().splitlines()[-1])
        for key, value in after.items():
            result[f"d_{key}"] = value - before[key]
        result["took_s"] = took_s
        if done.stderr.strip():
            result["stderr"] = done.stderr.strip()[-300:]
        return result


def check(result, *zero):
    for key in zero:
        if result.get(key):
            print(f"bench: {key} = {result[key]} {result.get('why', '')} {result.get('stderr', '')}", file=sys.stderr)


def flow(peer, *argv):
    r = peer.load(*argv)
    check(r, "lost", "conns_lost", "bad")
    messages = r["recv_per_s"] * r["wall_s"]
    other = r["d_other_cpu"] * r["wall_s"] / r["took_s"]
    r["per_million"] = (r["server_cpu_s"] + other) / messages * 1e6
    return r


def fanin(peer, qos, size, publishers, *more):
    return flow(peer, "fanin", "--pubs", publishers, "--subs", 1, "--qos", qos, "--size", size, "--secs", 2.5, "--warmup", 0.7, "--drain", 2,
                *more)


def connect(peer, count, *more, settle=0.7):
    r = peer.load("connect", "--n", count, "--settle", settle, "--src-ips", 8, *more)
    check(r, "failed", "dropped_later")
    return r


def core(peer):
    connect(peer, 30, settle=0.3)
    r = connect(peer, 500)
    result = {"full": r["server_cpu_s_per_1000"] + r["d_other_cpu"] / r["up"] * 1000}
    result["q0"] = fanin(peer, 0, 256, 50)["per_million"]
    result["q1"] = fanin(peer, 1, 256, 50)["per_million"]
    result["batch16"] = fanin(peer, 0, 64, 1, "--batch", 16)["per_million"]
    result["fanout100"] = flow(peer, "fanout", "--subs", 100, "--qos", 0, "--size", 64, "--secs", 2, "--warmup", 0.5, "--window", 20,
                               "--drain", 2)["per_million"]
    r = fanin(peer, 1, 256, 50, "--rate", 5000)
    result["p50"], result["p99"] = r["lat_p50_us"], r["lat_p99_us"]
    return result


def resume(peer):
    connect(peer, 30, settle=0.3)
    r = connect(peer, 500, "--resume")
    if r["resumed"] < r["up"]:
        return {}
    # What the other processes did for the first, full, half of the connections is not theirs.
    return {"resumed": r["server_cpu_s_per_1000"] + r["d_other_cpu"] / r["up"] * 500}


def memory(peer):
    connect(peer, 50, settle=0.3)
    r = connect(peer, peer.bench.devices, settle=3)
    return {"memory": r["rss_per_conn_bytes"]}


def retain(peer):
    if peer.name == "floor":
        return {}  # it acknowledges and forgets
    connect(peer, 30, settle=0.3)
    before = peer.processes.sample()["rss"]
    for device in range(1, RETAIN_DEVICES + 1):
        r = peer.load("retain", "--n", RETAIN_EACH, "--size", 100, "--subs", 0, "--base", device, "--topic",
                      f"load/device-{device:04}/{{id}}/state")
        if r["stored"] != RETAIN_EACH:
            raise RuntimeError(f"{peer.name}: stored {r['stored']} of {RETAIN_EACH}")
    return {"retained": (peer.processes.sample()["rss"] - before) / (RETAIN_DEVICES * RETAIN_EACH)}


SUITES = {"core": core, "resume": resume, "memory": memory, "retain": retain}


class Bench:
    def __init__(self, options):
        self.load = pathlib.Path(options.load).resolve()
        self.bin = pathlib.Path(options.bin).resolve()
        self.work = pathlib.Path(options.work).resolve()
        self.tools = self.work / "tools"
        self.devices = options.devices
        self.fleet = fleet.Fleet(self.work / "fleet", self.bin, PORTS["hub"], PORTS["hub"] + 1)

    def prepare(self):
        if not (self.load / "src" / "main.c").exists():
            sys.exit(f"bench: no load generator in {self.load}: name its folder with LOAD=")
        self.tools.mkdir(parents=True, exist_ok=True)
        made = subprocess.run(["make", "-C", self.load, f"OUT={self.tools}", self.tools / "mqttload", self.tools / "tlsfloor"],
                              capture_output=True, text=True, check=False)
        if made.returncode != 0:
            sys.exit(f"bench: the load generator does not build:\n{made.stdout}{made.stderr}")
        self.fleet.ready(max(self.devices, 500))

    def rounds(self, peers, suites, reps):
        results = {name: {} for name in peers}
        for rep in range(reps):
            for suite in suites:
                for name in peers[rep % len(peers):] + peers[:rep % len(peers)]:
                    try:
                        with Peer(self, name) as peer:
                            got = SUITES[suite](peer)
                    except (RuntimeError, subprocess.TimeoutExpired) as error:
                        print(f"bench: {name} {suite}: {error}", file=sys.stderr)
                        continue
                    print(f"bench: {time.strftime('%H:%M:%S')} {rep + 1}/{reps} {name:10} " +
                          "  ".join(f"{k} {v:.4g}" for k, v in got.items()), file=sys.stderr, flush=True)
                    for key, value in got.items():
                        results[name].setdefault(key, []).append(value)
        return results


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def table(results):
    lines = ["| work | unit | " + " | ".join(results) + " | target |", "|---" * (len(results) + 3) + "|"]
    for title, unit, key, target in ROWS:
        cells = [number(statistics.median(r[key])) if r.get(key) else "-" for r in results.values()]
        if any(c != "-" for c in cells):
            lines.append(f"| {title} | {unit} | {' | '.join(cells)} | {target:,} |")
    return "\n".join(lines)


def put_table(path, text):
    """Between the two marks in the document."""
    document = path.read_text()
    before, rest = document.split("<!-- table -->\n", 1)
    after = rest.split("<!-- end of table -->", 1)[1]
    path.write_text(f"{before}<!-- table -->\n{text}\n<!-- end of table -->{after}")


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--load", default=os.environ.get("LOAD") or ROOT.parent / "shared" / "load")
    a.add_argument("--bin", default=ROOT / "build" / "release" / "bin")
    a.add_argument("--work", default=ROOT / "build" / "bench")
    a.add_argument("--peers", default="hub,mosquitto,nats")
    a.add_argument("--suites", default=",".join(SUITES))
    a.add_argument("--reps", type=int, default=3)
    a.add_argument("--devices", type=int, default=2000, help="idle connections for the memory row")
    a.add_argument("--table", type=pathlib.Path, help="document whose table is written anew")
    o = a.parse_args()
    bench = Bench(o)
    bench.prepare()
    text = table(bench.rounds(o.peers.split(","), o.suites.split(","), o.reps))
    print(text)
    if o.table:
        put_table(o.table, text)


if __name__ == "__main__":
    main()
