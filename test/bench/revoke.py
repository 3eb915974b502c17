#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How long a revoked device stays connected: N devices are connected over mutual TLS, some are revoked one after the
other by the API, and each one's socket is watched from the moment before the request is sent until it is closed. The
certificates are good again afterwards (each action is undone), so the fleet is made once."""
import argparse
import json
import pathlib
import resource
import select
import socket
import ssl
import struct
import time

from fleet import Fleet, LocalConnection

SOURCE = pathlib.Path(__file__).resolve().parents[2]


def text(value):
    return struct.pack(">H", len(value)) + value.encode()


def connect(fleet, ca, device, count):
    """`count` sessions of one device, under a client id each."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=ca)
    base = fleet.pki / "clients" / device
    context.load_cert_chain(f"{base}.crt", f"{base}.key")
    return [connect_one(fleet, context, f"{device}-{i}") for i in range(count)]


def connect_one(fleet, context, client):
    tls = context.wrap_socket(socket.create_connection(("127.0.0.1", fleet.ports[0]), timeout=30), server_hostname="localhost")
    body = text("MQTT") + b"\x05\x02\x00\x00" + b"\x00" + text(client)  # no keep alive
    tls.sendall(bytes([0x10, len(body)]) + body)
    answer = tls.recv(1024)
    if answer[0] != 0x20 or answer[3] != 0:
        raise RuntimeError(f"{client}: CONNACK {answer.hex()}")
    return tls


def closed(tls, deadline):
    """Reads until the hub has closed it; returns when that was."""
    tls.setblocking(False)
    poll = select.poll()
    poll.register(tls, select.POLLIN)
    while True:
        try:
            if not tls.recv(4096):
                return time.monotonic()
        except ssl.SSLWantReadError:
            if not poll.poll(max(0, deadline - time.monotonic()) * 1000):
                raise RuntimeError("a revoked device is still connected after 10 s") from None
        except OSError:
            return time.monotonic()


def undo_all(fleet):
    """Also what a run before this one left undone."""
    api = LocalConnection(fleet.hub / "run" / "hub.sock")
    while True:
        api.request("GET", "/api/v1/actions?state=active")
        active = json.loads(api.getresponse().read())
        if not active:
            return
        for action in active:
            api.request("POST", f"/api/v1/actions/{action['id']}/undo")
            answer = api.getresponse()
            data = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"undo: {answer.status} {data}")


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--bin", default=SOURCE / "build/release/bin")
    a.add_argument("--folder", default="/tmp/fairlead-bench-revoke")
    a.add_argument("--devices", type=int, default=2000)
    a.add_argument("--each", type=int, default=1, help="sessions of each device")
    a.add_argument("--revoke", type=int, default=200)
    a.add_argument("--verb", choices=("revoke", "hold", "quarantine"), default="revoke")
    o = a.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    fleet = Fleet(o.folder, o.bin, 28983, 28984)
    fleet.ready(o.devices)
    hub = fleet.start()
    api = LocalConnection(fleet.hub / "run" / "hub.sock")
    try:
        undo_all(fleet)
        ca = (fleet.hub / "ca.pem").read_text()
        devices = [f"device-{i:04}" for i in range(1, o.devices + 1)]
        sessions = {device: connect(fleet, ca, device, o.each) for device in devices}
        took, said, revoked = [], [], set()
        for device in devices[::max(1, o.devices // o.revoke)][:o.revoke]:
            begin = time.monotonic()
            api.request("POST", f"/api/v1/devices/{device}/{o.verb}", b'{"reason":"bench"}', {"Content-Type": "application/json"})
            took.append((max(closed(tls, begin + 10) for tls in sessions[device]) - begin) * 1000)
            outcome = json.loads(api.getresponse().read())
            if outcome["sessions_closed"] != o.each:
                raise RuntimeError(f"{device}: {outcome}")
            said.append(outcome["took_ms"])
            revoked.add(device)
        poll = select.poll()  # the others were sent nothing, and nobody closed them
        for device in set(devices) - revoked:
            for tls in sessions[device]:
                poll.register(tls, select.POLLIN)
        count = o.devices * o.each
        left = count - len(revoked) * o.each - len(poll.poll(0))
        print(f"{o.verb}: {count} sessions, {len(took)} devices one after the other; {left} sessions stayed")
        print(f"from the request to the last closed socket: p50 {percentile(took, .5):.1f} ms, p99 {percentile(took, .99):.1f} ms, "
              f"worst {max(took):.1f} ms")
        print(f"as the answers say: p50 {percentile(said, .5)} ms, p99 {percentile(said, .99)} ms")
    finally:
        try:
            undo_all(fleet)
        finally:
            hub.terminate()
            hub.wait(30)


if __name__ == "__main__":
    main()
