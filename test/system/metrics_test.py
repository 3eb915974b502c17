# SPDX-License-Identifier: Apache-2.0
"""What a hub shows of itself: the Prometheus page, read strictly and checked against real traffic; who may read it; logs
as JSON; `fairlead top`; rates of devices; $SYS."""
import json
import os
import pathlib
import pty
import re
import select
import signal
import socket
import subprocess
import termios
import threading
import time
import unittest

from harness import BIN, Hub, HubTest, Mqtt, Refused, run, wait_for

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"')


def parse(text):
    """The exposition format 0.0.4, strictly: {(name, labels): value}, and {family: type}. Raises on anything that is not
    in order: a family that is not announced, announced twice or interrupted, a sample that is there twice."""
    samples, types, helped, closed, family = {}, {}, set(), set(), None
    if not text.endswith("\n"):
        raise ValueError("the last line does not end")
    for line in text.split("\n")[:-1]:
        if line.startswith("# "):
            kind, name, rest = re.fullmatch(r"# (HELP|TYPE) (\S+) (.+)", line).groups()
            if not NAME.fullmatch(name) or name in closed:
                raise ValueError(line)
            if name != family and family:
                closed.add(family)
            family = name
            if kind == "TYPE":
                if name in types or rest not in ("counter", "gauge", "histogram"):
                    raise ValueError(line)
                types[name] = rest
            else:
                if name in helped or name in types:
                    raise ValueError(line)
                helped.add(name)
            continue
        name, braces, value = re.fullmatch(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? (\S+)", line).groups()
        base = re.sub(r"_(bucket|sum|count)$", "", name) if types.get(family) == "histogram" else name
        if base != family or family not in types or family not in helped:
            raise ValueError(f"{line}: not of the family {family}")
        labels, left = {}, (braces or "{}")[1:-1]
        while left:
            match = LABEL.match(left)
            if not match or match[1] in labels:
                raise ValueError(line)
            labels[match[1]] = match[2]
            left = left[match.end():]
            if left:
                if left[0] != ",":
                    raise ValueError(line)
                left = left[1:]
        key = (name, tuple(sorted(labels.items())))
        if key in samples:
            raise ValueError(f"{line}: twice")
        samples[key] = float(value)
    check_histograms(samples, types)
    return samples, types


def check_histograms(samples, types):
    for family in (f for f, t in types.items() if t == "histogram"):
        rows = {}
        for (name, labels), value in samples.items():
            if name == family + "_bucket":
                others = tuple(label for label in labels if label[0] != "le")
                rows.setdefault(others, []).append((float(dict(labels)["le"]), value))
        if not rows:
            raise ValueError(f"{family}: no buckets")
        for others, buckets in rows.items():
            bounds, counts = zip(*buckets)
            if list(bounds) != sorted(bounds) or bounds[-1] != float("inf") or list(counts) != sorted(counts):
                raise ValueError(f"{family}: {buckets}")
            if samples[(family + "_count", others)] != counts[-1] or (family + "_sum", others) not in samples:
                raise ValueError(f"{family}: its count is not its last bucket")


def value(samples, name, **labels):
    """The sum over all samples of that name that have these labels."""
    found = [v for (n, have), v in samples.items() if n == name and set(labels.items()) <= set(have)]
    if not found:
        raise KeyError((name, labels))
    return sum(found)


def flood(mqtt, topic, count, qos):
    """Sends as fast as TCP takes it, in pieces; acknowledgements are taken in meanwhile."""
    sent = []
    for _ in range(count):
        packet_id, data = mqtt.publish_bytes(topic, 20, qos)
        sent.append(packet_id)
        mqtt.tls.sendall(data)
        if qos and len(sent) >= 32:  # the receive maximum is 64
            mqtt.wait_ack(sent.pop(0))
    for packet_id in sent if qos else []:
        mqtt.wait_ack(packet_id)


PROFILE = """profile {name} {{
    title   "Test"
    version 1
    publish d/{{device}}/t/#
    publish d/{{device}}/e/#
    subscribe d/+/t/#
    subscribe d/+/e/#
    stream temperature {{
        range -40 85
    }}
{more}}}
"""


def add_profile(hub, name, more):
    hub.add_profile(PROFILE.format(name=name, more=more))


class Parser(unittest.TestCase):
    """The judge is judged first."""

    def test_it_refuses_what_is_not_in_order(self):
        head = "# HELP a b\n# TYPE a counter\n"
        parse(head + 'a{x="1",y="\\"\\\\\\n"} 1\n')
        for bad in ("a 1\n", head + "a 1", head + "a 1\na 1\n", head + "b 1\n", head + 'a{x="1} 1\n', head + "a{x=1} 1\n",
                    head + 'a{x="1",x="2"} 1\n', head + "a 1\n" + head, head + "a x\n", head + "a{} \n",
                    "# HELP h b\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 2\n"):
            with self.assertRaises((ValueError, AttributeError, KeyError), msg=bad):
                parse(bad)


class Metrics(HubTest):
    def scrape(self):
        done = run("curl", "-sS", "--fail", "--unix-socket", self.hub.dir / "run/hub.sock", "-D", "-", "http://localhost/metrics")
        head, _, body = done.stdout.replace("\r\n", "\n").partition("\n\n")
        self.assertIn("text/plain; version=0.0.4", head)
        samples, types = parse(body)
        return samples, types

    def wait_value(self, name, wanted, **labels):
        return wait_for(lambda: value(self.scrape()[0], name, **labels) >= wanted, say=f"{name} {labels} >= {wanted}")

    def test_counters_follow_real_traffic(self):
        wait_for(lambda: any(n.startswith("fairlead_front_") for n, _ in self.scrape()[0]))
        before, types = self.scrape()
        self.assertTrue(all(n.startswith("fairlead_") for n, _ in before))
        self.assertTrue(all(n.endswith("_total") == (t == "counter") for n, t in types.items()))
        credential = self.hub.enrol("count-01")
        mqtt = Mqtt(credential)
        self.assertEqual(mqtt.publish("d/count-01/t/temperature", 20), 0)
        mqtt.publish("d/count-01/t/temperature", 21, qos=0)
        self.assertNotEqual(mqtt.publish("d/count-01/t/temperature", 2000), 0)
        self.assertNotEqual(mqtt.publish("d/count-01/t/nothing", 20), 0)
        self.assertNotEqual(mqtt.publish("d/count-01/t/temperature", "x"), 0)
        self.assertNotEqual(mqtt.publish("d/other/t/temperature", 20), 0)
        self.wait_value("fairlead_front_refusals_total", value(before, "fairlead_front_refusals_total", reason="not_authorized") + 1,
                        reason="not_authorized")
        middle, _ = self.scrape()

        def grew(name, **labels):
            return value(middle, name, **labels) - value(before, name, **labels)
        self.assertEqual(grew("fairlead_front_messages_received_total", qos="1"), 5)
        self.assertEqual(grew("fairlead_front_messages_received_total", qos="0"), 1)
        for reason in ("out_of_range", "unknown_stream", "malformed"):
            self.assertEqual(grew("fairlead_front_refusals_total", reason=reason), 1, reason)
        self.assertEqual(grew("fairlead_front_handshakes_total", kind="full"), 1)
        self.assertEqual(value(middle, "fairlead_front_connections") - value(before, "fairlead_front_connections"), 1)
        self.assertEqual(grew("fairlead_hub_readings_total"), 2)
        self.assertGreater(grew("fairlead_front_readings_batch_seconds_count"), 0)
        self.assertGreater(grew("fairlead_front_received_bytes_total"), 0)
        self.assertGreater(value(middle, "fairlead_process_resident_bytes", process="front"), 1e6)
        # A second connection resumes; a broken one ends for what it sent; a stranger is refused by its certificate.
        session = mqtt.tls.session
        again = Mqtt(credential, client_id="again", session=session, context=mqtt.context)
        again.tls.sendall(b"\x00\x00")
        again.wait_closed()
        self.wait_value("fairlead_front_protocol_errors_total", value(before, "fairlead_front_protocol_errors_total") + 1)
        self.wait_value("fairlead_front_handshakes_total", value(before, "fairlead_front_handshakes_total", kind="resumed") + 1,
                        kind="resumed")
        self.hub.fairlead("device", "revoke", "count-01")
        with self.assertRaises(Refused):
            Mqtt(credential)
        self.wait_value("fairlead_front_handshakes_failed_total",
                        value(before, "fairlead_front_handshakes_failed_total", reason="certificate") + 1, reason="certificate")
        self.wait_value("fairlead_process_cpu_seconds_total", 0.0001, process="signer")
        after, _ = self.scrape()
        for (name, labels), was in middle.items():
            if types.get(name) == "counter" or name.endswith(("_bucket", "_count")):
                self.assertGreaterEqual(after[(name, labels)], was, (name, labels))
        # Whatever devices there are, they are in no label.
        self.assertFalse([labels for _, labels in after if "count-01" in str(labels)])

    def test_the_log_is_seen_at_work(self):
        wait_for(lambda: any(n.startswith("fairlead_log_") for n, _ in self.scrape()[0]))
        away = self.hub.enrol("away-01")
        Mqtt(away, client_id="stays", expiry=600, clean=False).close()  # a session that lasts is a record
        before, types = self.scrape()
        self.assertEqual(types["fairlead_log_commit_seconds"], "histogram")
        mqtt = Mqtt(away, client_id="stays-2", expiry=600, clean=False)
        self.wait_value("fairlead_log_commit_seconds_count", value(before, "fairlead_log_commit_seconds_count") + 1)
        self.wait_value("fairlead_log_appends_total", value(before, "fairlead_log_appends_total") + 1)
        self.wait_value("fairlead_log_appended_bytes_total", value(before, "fairlead_log_appended_bytes_total") + 10)
        self.wait_value("fairlead_log_syncs_total", value(before, "fairlead_log_syncs_total") + 1)
        after, _ = self.scrape()
        self.assertEqual(value(after, "fairlead_log_sync_failures_total"), 0)
        self.assertEqual(value(after, "fairlead_log_appends_refused_total"), 0)
        self.assertEqual(value(after, "fairlead_log_tight"), 0)
        self.assertGreater(value(after, "fairlead_log_bytes"), 0)
        self.assertGreater(value(after, "fairlead_log_limit_bytes"), value(after, "fairlead_log_bytes"))
        self.assertIn("commit p50", self.hub.fairlead("top", "--once").stdout)
        mqtt.close()

    def test_only_those_who_may_read_it(self):
        def get(path, credential=None, method="GET"):
            header = ["-H", f"Authorization: Bearer {credential}"] if credential else []
            done = run("curl", "-sS", "-o", self.hub.work / "page", "-w", "%{http_code}", "-X", method, "--cacert",
                       self.hub.dir / "ca.pem", *header, f"https://localhost:{self.hub.https_port}{path}")
            return int(done.stdout)
        self.assertEqual(get("/metrics"), 401)
        self.assertEqual(get("/metrics", "flp.nobody.AAAA"), 401)
        self.assertEqual(get("/metrics", method="POST"), 405)
        credential = self.hub.work / "prometheus.credential"
        self.assertNotIn("flp.", self.hub.fairlead("admin", "metrics", "prometheus", "--out", credential).stdout)
        self.assertEqual(credential.stat().st_mode & 0o777, 0o600)
        secret = credential.read_text()
        self.assertEqual(get("/metrics", secret), 200)
        parse((self.hub.work / "page").read_text())
        self.assertEqual(get("/api/v1/load", secret), 200)
        for path, method in (("/api/v1/devices", "GET"), ("/api/v1/audit", "GET"), ("/api/v1/principals", "GET"),
                             ("/api/v1/devices/x/revoke", "POST"), ("/api/v1/principals/prometheus", "DELETE")):
            self.assertEqual(get(path, secret, method), 403, path)
        self.assertIn("read metrics", self.hub.fairlead("admin", "list").stdout)
        self.hub.fairlead("admin", "remove", "prometheus")
        self.assertEqual(get("/metrics", secret), 401)

    def test_an_invited_administrator_may_log_in(self):
        token = self.hub.json("admin", "invite", "bob")["token"]
        home = self.hub.work / "home"
        home.mkdir()
        environment = {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home)}
        run(BIN / "fairlead", "login", "--token", token, env=environment)
        self.assertIn("bob", run(BIN / "fairlead", "admin", "list", env=environment).stdout)


class Rates(HubTest):
    def test_a_greedy_device_is_held_to_its_rate_and_disturbs_nobody(self):
        add_profile(self.hub, "slow", "    rate messages 50/s burst 50\n")
        add_profile(self.hub, "fast", "")
        greedy = Mqtt(self.hub.enrol("greedy-01", "slow"))
        polite = Mqtt(self.hub.enrol("polite-01", "fast"))
        polite.subscribe("d/greedy-01/e/#")
        started, count = time.monotonic(), 300

        def push():
            flood(greedy, "d/greedy-01/e/x", count, 1)
        thread = threading.Thread(target=push)
        thread.start()
        delays, value_now = [], 0
        while thread.is_alive():
            begin = time.monotonic()
            self.assertEqual(polite.publish("d/polite-01/t/temperature", value_now % 50), 0)
            delays.append(time.monotonic() - begin)
            value_now += 1
            time.sleep(0.02)
        took = time.monotonic() - started
        # 50 at once and 50 a second: never faster, and nothing was lost or refused.
        self.assertGreater(took, (count - 50 - 20) / 50)
        wait_for(lambda: (polite.publish("d/polite-01/t/temperature", 1), len(polite.messages))[1] >= count)
        self.assertEqual(len(polite.messages), count)
        self.assertGreater(value_now, 10)
        wait_for(lambda: len(self.hub.readings("polite-01")) >= value_now)
        # It was told once a stretch, not once a message.
        records = [r for r in self.hub.json("audit", "show") if r["what"] == "rate.limited" and r["object"] == "greedy-01"]
        self.assertTrue(1 <= len(records) <= 1 + took / 5, records)
        self.assertEqual(records[0]["object"], "greedy-01")
        self.assertIn("more messages", records[0]["detail"]["reason"])

    def test_its_keep_alive_is_not_held_against_who_waits(self):
        add_profile(self.hub, "patient", "    rate messages 6/min burst 2\n")
        mqtt = Mqtt(self.hub.enrol("patient-01", "patient"), keep_alive=4, timeout=60)
        started = time.monotonic()
        flood(mqtt, "d/patient-01/e/x", 3, 1)
        self.assertEqual(mqtt.publish("d/patient-01/e/x", 1), 0)
        self.assertGreater(time.monotonic() - started, 6)  # one and a half times the keep alive, and it is still there
        mqtt.close()

    def test_all_connections_of_a_device_share_its_rate_and_coming_back_does_not_help(self):
        add_profile(self.hub, "tight", "    rate messages 20/s burst 20\n")
        credential = self.hub.enrol("twice-01", "tight")
        started = time.monotonic()
        first, second = Mqtt(credential, client_id="a"), Mqtt(credential, client_id="b")
        threads = [threading.Thread(target=flood, args=(c, "d/twice-01/e/x", 50, 1)) for c in (first, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        first.close()
        second.close()
        third = Mqtt(credential, client_id="c")
        flood(third, "d/twice-01/e/x", 20, 1)
        self.assertGreater(time.monotonic() - started, (120 - 20 - 20) / 20)

    def test_who_comes_and_says_nothing_leaves_nothing_behind(self):
        credential = self.hub.enrol("mute-01")
        front = self.hub.children()["fairlead-front"]
        for _ in range(3):
            raw = socket.create_connection(("127.0.0.1", self.hub.mqtt_port), timeout=20)
            credential.context().wrap_socket(raw, server_hostname="localhost").close()
        mqtt = Mqtt(credential)
        self.assertEqual(mqtt.publish("d/mute-01/t/temperature", 20), 0)
        mqtt.close()
        self.assertEqual(self.hub.children()["fairlead-front"], front)

    def test_bytes_are_limited_too(self):
        add_profile(self.hub, "thin", "    rate bytes 20k/s burst 20k\n")
        mqtt = Mqtt(self.hub.enrol("thin-01", "thin"))
        started = time.monotonic()
        for _ in range(10):
            self.assertEqual(mqtt.publish("d/thin-01/e/x", b"x" * 8192), 0)
        self.assertGreater(time.monotonic() - started, (80 - 20 - 16) / 20)

    def test_who_does_not_read_costs_bounded_memory_and_nobody_else(self):
        add_profile(self.hub, "chat", "")
        sender = Mqtt(self.hub.enrol("sender-01", "chat"))
        deaf = Mqtt(self.hub.enrol("deaf-01", "chat"))
        hears = Mqtt(self.hub.enrol("hears-01", "chat"))
        deaf.subscribe("d/sender-01/e/#")
        hears.subscribe("d/sender-01/e/#")
        front = self.hub.children()["fairlead-front"]

        def resident():
            return int(pathlib.Path(f"/proc/{front}/statm").read_text().split()[1]) * 4096
        reader = threading.Thread(target=lambda: [hears.step() for _ in range(2600)], daemon=True)
        reader.start()
        before = resident()
        for number in range(2600):  # 42 MB, of which the deaf one takes nothing
            self.assertEqual(sender.publish("d/sender-01/e/x", b"%016d" % number * 1024), 0)
            wait_for(lambda: len(hears.messages) > number - 100, timeout_s=60, every_s=0.001)
        reader.join(60)
        self.assertEqual([int(body[:16]) for _, body in hears.messages], list(range(2600)))
        def load(what):
            text = run("curl", "-sS", "--unix-socket", self.hub.dir / "run/hub.sock", "http://localhost/api/v1/load").stdout
            return sum(worker[what] for worker in json.loads(text)["front"]["workers"])
        self.assertLessEqual(load("queued_bytes"), 2 * 32 * 1024 * 1024)  # of two subscribers, one of them slow at most
        # Its queue is 32 MB at most and its output half a megabyte; the rest is what sanitizers keep of freed memory.
        self.assertLess(resident() - before, 500e6)
        wait_for(lambda: load("dropped") > 0, say="what found no room is counted")
        deaf.close()


class Sys(HubTest):
    def test_the_brokers_numbers_are_for_those_whose_profile_says_so(self):
        add_profile(self.hub, "watcher", "    subscribe $SYS/broker/#\n")
        add_profile(self.hub, "other", '    subscribe "#"\n')
        watcher = Mqtt(self.hub.enrol("watcher-01", "watcher"))
        other = Mqtt(self.hub.enrol("other-01", "other"))
        self.assertLess(watcher.subscribe("$SYS/broker/#"), 0x80)
        self.assertEqual(watcher.subscribe("$SYS/#"), 0x87)
        self.assertEqual(other.subscribe("$SYS/#"), 0x87)
        self.assertEqual(other.subscribe("$SYS/broker/uptime"), 0x87)
        self.assertLess(other.subscribe("#"), 0x80)
        self.assertEqual(watcher.publish("$SYS/broker/uptime", "never"), 0x87)
        watcher.tls.settimeout(20)
        while not any(topic == "$SYS/broker/clients/connected" and int(n) >= 2 for topic, n in watcher.messages):
            watcher.step()  # said every ten seconds
        seen = dict(watcher.messages)
        self.assertIn(b"fairlead", seen["$SYS/broker/version"])
        self.assertEqual(other.publish("d/other-01/e/x", "y"), 0)
        while not other.messages:
            other.step()
        self.assertEqual([topic for topic, _ in other.messages], ["d/other-01/e/x"])


class Logs(unittest.TestCase):
    def test_every_line_is_a_json_object(self):
        with Hub() as hub:
            hub.stop()
            with open(hub.dir / "hub.conf", "a", encoding="utf-8") as conf:
                conf.write("log-format json\nlog debug\n" if "log " not in (hub.dir / "hub.conf").read_text() else "log-format json\n")
            hub.log_path.unlink()
            hub.start()
            mqtt = Mqtt(hub.enrol("log-01"))
            mqtt.publish("d/log-01/t/temperature", 2000)
            mqtt.publish(b"d/log-01/t/\x7f\xc3\xa9\x1b[31m", 20)
            lines = wait_for(lambda: [json.loads(line) for line in hub.log().splitlines()] if "out of range" in hub.log() else None)
            self.assertEqual({line["process"] for line in lines}, {"hub", "control", "signer", "front"})
            for line in lines:
                self.assertLessEqual({"time", "level", "process", "tag", "message"}, set(line))
                self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
                self.assertIn(line["level"], ("error", "warn", "info", "debug"))
            self.assertTrue([line for line in lines if line.get("device") == "log-01" and line["tag"] == "refused"])
            mqtt.close()

    def test_a_format_that_is_none_is_refused(self):
        hub = Hub()
        with open(hub.dir / "hub.conf", "a", encoding="utf-8") as conf:
            conf.write("log-format xml\n")
        done = run(BIN / "fairlead-hub", "--check", hub.dir, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("write text or json", done.stderr)


class Top(HubTest):
    def test_once_and_json_are_for_scripts(self):
        credential = self.hub.enrol("busy-01")
        mqtt = Mqtt(credential)
        stop = threading.Event()

        def push():
            while not stop.wait(0.02):
                mqtt.publish("d/busy-01/t/temperature", 20)
        thread = threading.Thread(target=push)
        thread.start()
        try:
            seen = wait_for(lambda: (lambda o: o if o["busiest"] and o["commits"]["count"] else None)(self.hub.json("top", "--once")))
            self.assertGreater(seen["per_second"]["received_qos1"], 0)
            self.assertEqual(seen["busiest"][0]["device"], "busy-01")
            self.assertEqual({p["name"] for p in seen["processes"]}, {"front", "control", "signer"})
            self.assertGreater(seen["commits"]["count"], 0)
            page = self.hub.fairlead("top", "--once").stdout
            self.assertIn("busy-01", page)
            self.assertNotIn("\033", page)
            live = subprocess.Popen([BIN / "fairlead", "--hub", self.hub.dir, "top", "--json"], stdout=subprocess.PIPE)
            self.assertTrue(json.loads(live.stdout.readline())["front"])
            self.assertTrue(json.loads(live.stdout.readline())["front"])
            live.send_signal(signal.SIGINT)
            live.stdout.close()
            self.assertEqual(live.wait(20), 0)
        finally:
            stop.set()
            thread.join()

    def live(self, end):
        """Runs it in a terminal of 60 by 12, calls `end`, returns what it wrote."""
        pid, fd = pty.fork()
        if pid == 0:
            os.environ["TERM"] = "xterm"
            os.execv(BIN / "fairlead", ["fairlead", "--hub", str(self.hub.dir), "top"])
        termios.tcsetwinsize(fd, (12, 60))
        before = termios.tcgetattr(fd)
        written = b""

        def read(until, timeout_s=20):
            nonlocal written
            stop = time.monotonic() + timeout_s
            while until not in written and time.monotonic() < stop:
                if select.select([fd], [], [], 0.1)[0]:
                    try:
                        written += os.read(fd, 65536)
                    except OSError:
                        break
            self.assertIn(until, written)
        read(b"messages in")
        self.assertEqual(termios.tcgetattr(fd)[3] & (termios.ECHO | termios.ICANON), 0)
        written = b""
        os.kill(pid, signal.SIGWINCH)
        read(b"\033[H")
        page = written.split(b"\033[H")[-1]
        self.assertLessEqual(page.count(b"\r\n"), 11)
        end(pid, fd)
        read(b"\033[?25h\033[?1049l")
        _, status = os.waitpid(pid, 0)
        after = termios.tcgetattr(fd)
        self.assertEqual(os.waitstatus_to_exitcode(status), 0)
        self.assertEqual(before[:4], after[:4])
        self.assertTrue(after[3] & termios.ECHO)
        os.close(fd)

    def test_the_terminal_is_as_it_was_after_q(self):
        self.live(lambda pid, fd: os.write(fd, b"q"))

    def test_the_terminal_is_as_it_was_after_ctrl_c(self):
        self.live(lambda pid, fd: os.write(fd, b"\x03"))

    def test_the_terminal_is_as_it_was_after_sigterm(self):
        self.live(lambda pid, fd: os.kill(pid, signal.SIGTERM))


if __name__ == "__main__":
    unittest.main()
