#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a reading costs from the device's socket to stable storage: publishers over mutual TLS 1.3, QoS 1, one reading a
message, each with a window of unacknowledged messages as the agent has. Prints readings a second and CPU seconds of all of the
hub's processes per million readings, and how many readings share a commit.

    FAIRLEAD_BIN=build/release/bin test/bench/readings.py [--readings 200000] [--devices 20] [--window 60] [--rounds 3]
"""
import argparse
import multiprocessing
import os
import pathlib
import re
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from harness import Hub, Mqtt  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
FIRST = 1795330800000


def cpu_s(pids):
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def publisher(credential, count, window, first, ready, go):
    client = Mqtt(credential, timeout=120)
    topic = f"d/{credential.id}/t/temperature"
    packets = [client.publish_bytes(topic, b'{"t":%d,"v":%.2f}' % (FIRST + first + i, i % 5000 / 100), packet_id=i % 65535 + 1)[1]
               for i in range(count)]
    ready.release()
    go.wait()
    sent = acked = 0
    while acked < count:
        if sent < count and sent - acked <= window // 2:
            upto = min(count, acked + window)
            client.tls.sendall(b"".join(packets[sent:upto]))
            sent = upto
        kind, body = client.receive()
        if kind >> 4 != 4 or (len(body) > 2 and body[2] != 0):
            raise SystemExit(f"not acknowledged: {kind:#x} {body.hex()}")
        acked += 1
    client.close()


def one_round(hub, credentials, number, options):
    each = options.readings // len(credentials)
    ready, go = multiprocessing.Semaphore(0), multiprocessing.Event()
    workers = [multiprocessing.Process(target=publisher, args=(c, each, options.window, number * each, ready, go))
               for c in credentials]
    for worker in workers:
        worker.start()
    for _ in workers:
        ready.acquire()
    pids = [hub.process.pid, *hub.children().values()]
    cpu, wall = cpu_s(pids), time.monotonic()
    go.set()
    for worker in workers:
        worker.join()
        if worker.exitcode:
            raise SystemExit("a publisher failed")
    wall, cpu = time.monotonic() - wall, cpu_s(pids) - cpu
    return each * len(credentials) / wall, cpu / (each * len(credentials)) * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--readings", type=int, default=200000)
    parser.add_argument("--devices", type=int, default=20)
    parser.add_argument("--window", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    hub = Hub()
    conf = hub.dir / "hub.conf"
    conf.write_text(re.sub(r"^log .*$", "log debug", conf.read_text(), flags=re.M))
    with hub:
        credentials = [hub.enrol(f"bench-{i:03}") for i in range(options.devices)]
        results = [one_round(hub, credentials, n, options) for n in range(options.rounds)]
        commits = hub.log().count("one commit: ")
        size = (hub.dir / "state/hub.db").stat().st_size
    for rate, cpu in results:
        print(f"{rate:.0f} readings/s, {cpu:.1f} CPU-s per million")
    print(f"median: {statistics.median(r for r, _ in results):.0f} readings/s, "
          f"{statistics.median(c for _, c in results):.1f} CPU-s per million")
    if commits:
        print(f"{options.readings * options.rounds / commits:.0f} readings a commit")
    print(f"{size / (options.readings * options.rounds):.0f} octets of database a reading")


if __name__ == "__main__":
    main()
