# SPDX-License-Identifier: Apache-2.0
"""The command line: what is printed, what is asked of the hub, exit codes, and mistakes taught."""
import csv
import io
import json
import os
import pathlib
import pty
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import harness
from fake_api import FakeApi
from harness import BIN, run

FAIRLEAD = BIN / "fairlead"
SOURCE = pathlib.Path(__file__).resolve().parents[2]

DEVICE = {"id": "cam-01", "profile": "camera", "site": "quay", "state": "active", "posture": "ok", "posture_reason": "",
          "connected": True, "peer": "192.0.2.1:4711", "last_seen": "2026-11-22T07:19:48.123Z", "since": "2026-11-22T07:00:00Z",
          "created": "2026-11-22T06:59:00Z",
          "credential": {"serial": "0a0b", "state": "issued", "not_before": "2026-11-22T07:00:00Z",
                         "not_after": "2026-11-29T07:00:00Z", "key": "p-256"}}


def fairlead(*argv, check=False, env=None, stdin=None, **kwargs):
    environment = {k: v for k, v in os.environ.items() if k not in ("FAIRLEAD_HUB", "XDG_CONFIG_HOME")}
    environment["HOME"] = "/nonexistent"
    environment.update(env or {})
    return run(FAIRLEAD, *argv, check=check, env=environment, input=stdin, **kwargs)


def on_terminal(*argv, columns=80, env=None):
    """The output on a pseudo terminal of that width."""
    environment = {k: v for k, v in os.environ.items() if k not in ("FAIRLEAD_HUB", "NO_COLOR", "TERM")}
    environment.update({"HOME": "/nonexistent", "TERM": "xterm"}, **(env or {}))
    leader, follower = pty.openpty()
    import fcntl
    import struct
    import termios
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen([FAIRLEAD, *map(str, argv)], stdout=follower, stderr=subprocess.DEVNULL, env=environment)
    os.close(follower)
    data = b""
    while True:
        try:
            more = os.read(leader, 65536)
        except OSError:
            break
        if not more:
            break
        data += more
    os.close(leader)
    process.wait(20)
    return data.decode().replace("\r\n", "\n")


class Typing(unittest.TestCase):
    """Needs no hub."""

    def test_every_verb_has_help_and_a_place_in_the_manual(self):
        manual = (SOURCE / "docs/man/fairlead.1.scd").read_text()
        overview = fairlead("--help").stdout
        nouns = [line.split()[0] for line in overview.splitlines() if line.startswith("  ") and not line.startswith("   ")
                 and not line.strip().startswith("--")]
        self.assertGreater(len(nouns), 8)
        for noun in nouns:
            usage = fairlead(noun, "--help")
            self.assertEqual(usage.returncode, 0)
            verbs = [line.split()[1] for line in usage.stdout.splitlines() if line.startswith(f"  {noun} ")]
            for words in [[noun, verb] for verb in verbs] or [[noun]]:
                help_ = fairlead(*words, "--help")
                self.assertEqual(help_.returncode, 0)
                self.assertIn("usage: fairlead " + " ".join(words), help_.stdout)
                self.assertIn("*fairlead " + " ".join(words), manual)
                section = manual.split("*fairlead " + " ".join(words), 1)[1].split("\n*fairlead", 1)[0]
                for line in help_.stdout.splitlines():
                    option = line.strip().split(" ")[0]
                    if option.startswith("--") and option not in ("--hub", "--json", "--help"):
                        self.assertIn("*" + option, section, f"{words}: {option} is not in the manual")

    def test_the_manual_is_well_formed(self):
        if not shutil.which("scdoc"):
            self.skipTest("no scdoc")
        for page in (SOURCE / "docs/man").glob("*.scd"):
            done = subprocess.run(["scdoc"], input=page.read_bytes(), capture_output=True, check=False)
            self.assertEqual(done.returncode, 0, f"{page}: {done.stderr}")

    def test_mistakes_in_typing_end_with_2_and_teach(self):
        for words, part in ((["devise"], "did you mean device?"), (["device", "ad"], "did you mean add?"), ([], "no command"),
                            (["device", "show"], "it needs ID"), (["device", "add", "a"], "--profile PROFILE is missing"),
                            (["device", "show", "a/b"], "device id is"), (["reading", "show", "a", "--since", "x"], "--since"),
                            (["action", "undo", "x"], "named by its number")):
            done = fairlead("--hub", "/nowhere", *words)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(part, done.stderr)
            self.assertIn("--help", done.stderr)
            self.assertEqual(done.stdout, "")

    def test_a_hub_that_is_not_there_is_explained(self):
        with tempfile.TemporaryDirectory() as folder:
            done = fairlead("device", "list")
            self.assertEqual(done.returncode, 1)
            self.assertIn("FAIRLEAD_HUB", done.stderr)
            done = fairlead("device", "list", "--hub", folder + "/none")
            self.assertIn("fairlead init", done.stderr)
            done = fairlead("device", "list", "--hub", folder)
            self.assertIn("no hub.conf", done.stderr)
            pathlib.Path(folder, "hub.conf").write_text("host h\n")
            done = fairlead("device", "list", env={"FAIRLEAD_HUB": folder})
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"start it: fairlead-hub {folder}", done.stderr)
            done = fairlead("device", "list", "--hub", "http://hub")
            self.assertEqual(done.returncode, 2)
            self.assertIn("https://HOST[:PORT]", done.stderr)
            done = fairlead("device", "list", "--hub", "https://hub.example", env={"HOME": folder})
            self.assertIn("fairlead login https://hub.example:8443 --token", done.stderr)

    def test_bash_completes_from_the_table(self):
        script = fairlead("completion", "bash").stdout
        self.assertEqual(run("bash", "-n", "-c", script).returncode, 0)
        ask = script + '\nCOMP_WORDS=(fairlead --hub X device %s); COMP_CWORD=%d; _fairlead; echo "${COMPREPLY[@]}"'
        self.assertEqual(run("bash", "-c", ask % ("qu", 4)).stdout.strip(), "quarantine")
        self.assertIn("--dry-run", run("bash", "-c", ask % ("quarantine --d", 5)).stdout)

    def test_profiles_are_linted_where_they_are(self):
        done = fairlead("profile", "lint", SOURCE / "profiles/camera.profile")
        self.assertEqual(done.returncode, 0, done.stderr)
        done = fairlead("profile", "lint", "-", stdin="profile x {\n  topik a\n}\n")
        self.assertEqual(done.returncode, 1)
        self.assertIn(":2:3:", done.stderr)
        done = fairlead("profile", "lint", "/nowhere.profile", "--json")
        self.assertEqual(done.returncode, 1)
        self.assertFalse(json.loads(done.stdout)["valid"])


class Output(unittest.TestCase):
    """Against an API that answers what the test wants."""

    def setUp(self):
        self.fake = FakeApi()
        self.fake.__enter__()
        self.addCleanup(shutil.rmtree, self.fake.dir, ignore_errors=True)
        self.hub = ("--hub", self.fake.dir)

    def tearDown(self):
        if self.fake.server:
            self.fake.stop()

    def test_lists_follow_every_page_and_print_one_array(self):
        rows = [dict(DEVICE, id=f"d-{i:04}") for i in range(2500)]
        self.fake.paged("/api/v1/devices", rows, "id", 1000)
        done = fairlead(*self.hub, "device", "list", "--json")
        self.assertEqual(json.loads(done.stdout), rows)
        done = fairlead(*self.hub, "device", "list", "--json", "--limit", "1500", "--site", "a b&c")
        self.assertEqual(len(json.loads(done.stdout)), 1500)
        self.assertEqual(self.fake.asked[-1][2]["site"], "a b&c")
        self.assertEqual(len(fairlead(*self.hub, "device", "list").stdout.splitlines()), 2501)

    def test_pages_that_do_not_advance_end(self):
        self.fake.answers["GET", "/api/v1/devices"] = (200, [DEVICE])
        done = fairlead(*self.hub, "device", "list", "--json")
        self.assertEqual(done.returncode, 1)
        self.assertIn("do not advance", done.stderr)

    def test_adding_prints_exactly_one_object(self):
        answer = {"id": "cam-01", "profile": "camera", "state": "expected", "site": "", "token": "fl1." + "A" * 110,
                  "expires": "2026-11-22T07:34:48Z", "enrol": "https://hub:8443/.well-known/est"}
        self.fake.answers["POST", "/api/v1/devices"] = (201, answer)
        done = fairlead(*self.hub, "device", "add", "cam-01", "--profile", "camera", "--ttl", "20m", "--json")
        self.assertEqual(json.loads(done.stdout), answer)
        self.assertEqual(self.fake.asked[-1][3], {"id": "cam-01", "profile": "camera", "ttl_s": 1200})
        done = fairlead(*self.hub, "device", "add", "cam-01", "--profile", "camera")
        self.assertIn(f"fairlead-agent enrol --token {answer['token']} --dir cam-01", done.stdout)
        self.assertNotIn("█", done.stdout)
        self.assertIn("█", fairlead(*self.hub, "device", "add", "cam-01", "--profile", "camera", "--qr").stdout)
        self.assertIn("\033[40;97m", on_terminal(*self.hub, "device", "add", "cam-01", "--profile", "camera"))
        for name in ("code.png", "code.svg"):
            path = self.fake.dir / name
            done = fairlead(*self.hub, "device", "add", "cam-01", "--profile", "camera", "--qr", path, check=True)
            self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        if shutil.which("zbarimg"):
            self.assertEqual(run("zbarimg", "-q", "--raw", self.fake.dir / "code.png").stdout.strip(), answer["token"])

    def test_hostile_text_reaches_no_terminal(self):
        hostile = dict(DEVICE, site="\x1b]0;owned\x07\x1b[2J\u202egnp", profile="p\nq")
        self.fake.answers["GET", "/api/v1/devices"] = lambda q: (200, [] if q.get("after") else [hostile])
        self.fake.answers["GET", "/api/v1/devices/cam-01"] = (200, hostile)
        for words in (["list"], ["show", "cam-01"], ["list", "--json"]):
            done = fairlead(*self.hub, "device", *words)
            self.assertEqual(done.returncode, 0)
            for c in "\x1b\x07\u202e":
                self.assertNotIn(c, done.stdout)
        self.assertEqual(json.loads(done.stdout)[0]["site"], hostile["site"])
        self.fake.answers["GET", "/api/v1/devices/cam-01"] = (500, {"title": "x", "detail": "a\x1b[31m\nb"})
        done = fairlead(*self.hub, "device", "show", "cam-01")
        self.assertNotIn("\x1b", done.stderr)

    def test_tables_fit_the_terminal_and_colour_is_only_there(self):
        rows = [dict(DEVICE, site="a very long name of a place " * 4)]
        self.fake.paged("/api/v1/devices", rows, "id", 1000)
        for columns in (40, 80, 132):
            text = on_terminal(*self.hub, "device", "list", columns=columns, env={"NO_COLOR": "1"})
            self.assertNotIn("\033", text)
            self.assertTrue(all(len(line) <= max(columns, 56) for line in text.splitlines()), text)
        self.assertIn("\033[32m", on_terminal(*self.hub, "device", "list"))
        self.assertNotIn("\033", fairlead(*self.hub, "device", "list").stdout)
        self.assertIn("a very long name of a place " * 3, fairlead(*self.hub, "device", "list").stdout)

    def test_an_outcome_tells_what_was_closed_and_how_fast(self):
        outcome = {"action": 7, "device": "cam-01", "kind": "quarantine", "state": "active", "reason": "odd",
                   "until": "2099-01-01T00:00:00Z", "dry_run": False, "sessions_closed": 1, "took_ms": 12,
                   "effects": ["close 1 live session", "refuse its certificates"]}
        self.fake.answers["POST", "/api/v1/devices/cam-01/quarantine"] = (200, outcome)
        done = fairlead(*self.hub, "device", "quarantine", "cam-01", "--for", "1h", "--reason", "odd")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.fake.asked[-1][3], {"for_s": 3600, "reason": "odd"})
        self.assertIn("1 live session closed; done in 12 ms", done.stdout)
        self.assertIn("fairlead action undo 7", done.stdout)
        self.fake.answers["POST", "/api/v1/devices/cam-01/quarantine"] = (200, dict(outcome, dry_run=True))
        done = fairlead(*self.hub, "device", "quarantine", "cam-01", "--dry-run")
        self.assertEqual(self.fake.asked[-1][3], {"dry_run": True})
        self.assertIn("nothing was changed", done.stdout)

    def readings(self, count):
        rows = [{"t": f"2026-11-22T07:{i // 60 % 60:02}:{i % 60:02}Z", "stream": ("temperature", "load1")[i % 2],
                 "value": round(20 + i * 0.1, 1), "position": i + 1} for i in range(count)]
        self.fake.paged("/api/v1/devices/cam-01/readings", rows, "position", 1000)
        return rows

    def test_readings_are_exact_in_json_and_csv(self):
        rows = self.readings(3100)
        self.assertEqual(json.loads(fairlead(*self.hub, "reading", "show", "cam-01", "--json").stdout), rows)
        newest = fairlead(*self.hub, "reading", "show", "cam-01", "--json", "--limit", "700").stdout
        self.assertEqual(json.loads(newest), rows[-700:])
        newest = fairlead(*self.hub, "reading", "show", "cam-01", "--json", "--limit", "12000").stdout
        self.assertEqual(json.loads(newest), rows)
        table = list(csv.DictReader(io.StringIO(fairlead(*self.hub, "reading", "show", "cam-01", "--csv").stdout)))
        self.assertEqual([(r["t"], r["stream"], float(r["value"])) for r in table],
                         [(r["t"], r["stream"], r["value"]) for r in rows])
        self.assertIn(",20.3\n", fairlead(*self.hub, "reading", "show", "cam-01", "--csv").stdout)

    def test_readings_have_a_summary_a_sparkline_and_a_plot(self):
        self.readings(100)
        self.fake.answers["GET", "/api/v1/devices/cam-01"] = (200, DEVICE)
        self.fake.answers["GET", "/api/v1/profiles/camera"] = (200, {"streams": [{"name": "temperature", "unit": "°C"}]})
        done = fairlead(*self.hub, "reading", "show", "cam-01", "--since", "1h")
        self.assertIn("from", self.fake.asked[0][2])
        row = next(line.split() for line in done.stdout.splitlines() if line.startswith("temperature"))
        self.assertEqual(row[:7], ["temperature", "°C", "50", "20", "24.9", "29.8", "29.8"])
        self.assertIn("▁", done.stdout)
        plot = fairlead(*self.hub, "reading", "show", "cam-01", "--plot").stdout
        self.assertIn("temperature, °C\n", plot)
        self.assertIn("┤", plot)
        self.fake.answers["GET", "/api/v1/devices/cam-01/readings"] = (200, [])
        done = fairlead(*self.hub, "reading", "show", "cam-01")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", "no readings\n"))
        self.assertEqual(fairlead(*self.hub, "reading", "show", "cam-01", "--json").stdout, "[]\n")

    def test_tail_follows_and_ends_cleanly_on_ctrl_c(self):
        rows = self.readings(20)
        process = subprocess.Popen([FAIRLEAD, *map(str, self.hub), "reading", "tail", "cam-01", "--json", "--limit", "3"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for row in rows[-3:]:
            self.assertEqual(json.loads(process.stdout.readline()), row)
        rows.append({"t": "2026-11-22T08:00:00Z", "stream": "load1", "value": 1.5, "position": 21})
        self.assertEqual(json.loads(process.stdout.readline()), rows[-1])
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(10), 0)
        self.assertEqual(process.stderr.read(), "")
        process.stdout.close()
        process.stderr.close()

    def test_answers_that_make_no_sense_are_errors_with_words(self):
        for answer, words in (((200, b"<html>"), "not JSON"), ((200, {"a": 1}), "not an array"), ((200, b""), "not an array"),
                              ((503, {"title": "Busy", "detail": "later"}), "try again"),
                              ((401, {"title": "Unauthorized"}), "fairlead login"), ((418, b"x"), "status 418")):
            self.fake.answers["GET", "/api/v1/devices"] = answer
            done = fairlead(*self.hub, "device", "list")
            self.assertEqual(done.returncode, 1)
            self.assertIn(words, done.stderr)
            self.assertEqual(done.stdout, "")

    def test_a_broken_chain_is_a_failure(self):
        self.fake.answers["GET", "/api/v1/audit/verify"] = (200, {"valid": True, "records": 3, "head": "ab"})
        self.assertEqual(fairlead(*self.hub, "audit", "verify").returncode, 0)
        self.fake.answers["GET", "/api/v1/audit/verify"] = (200, {"valid": False, "records": 3, "head": "ab", "broken_at": 2})
        done = fairlead(*self.hub, "audit", "verify", "--json")
        self.assertEqual(done.returncode, 1)
        self.assertIn("broken at record 2", done.stderr)
        self.assertFalse(json.loads(done.stdout)["valid"])

    def test_a_reader_that_goes_away_is_no_drama(self):
        self.fake.paged("/api/v1/devices", [dict(DEVICE, id=f"d-{i}") for i in range(20000)], "id", 1000)
        process = subprocess.Popen([FAIRLEAD, *map(str, self.hub), "device", "list", "--json"], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        process.stdout.readline()
        process.stdout.close()
        self.assertEqual(process.wait(20), 1)
        self.assertEqual(process.stderr.read(), "")
        process.stderr.close()

    def test_a_full_disk_is_told(self):
        self.fake.paged("/api/v1/devices", [DEVICE], "id", 1000)
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([FAIRLEAD, *map(str, self.hub), "device", "list"], stdout=full, stderr=subprocess.PIPE,
                                  text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("No space left", done.stderr)


if __name__ == "__main__":
    unittest.main()
