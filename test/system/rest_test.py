#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Readings at rest: nothing of a value is in the database file, an erased device's readings are gone in every copy, and
a database of the version before is sealed while the hub runs."""
import os
import pty
import shutil
import signal
import sqlite3
import struct
import subprocess
import unittest

from harness import BIN, Hub, Mqtt, wait_for

VALUES = (21.123456789, 37.987654321, -12.345678901)


def texts(value):
    """Every form in which a value may lie in a file."""
    return (struct.pack(">d", value), struct.pack("<d", value), repr(value).encode(), f"{value:.6f}".encode())


class Rest(unittest.TestCase):
    def setUp(self):
        self.hub = Hub()

    def tearDown(self):
        self.hub.__exit__()

    def publish(self, client, device, values, stream="temperature"):
        for value in values:
            self.assertEqual(client.publish(f"d/{device}/t/{stream}", repr(value)), 0)

    def send(self, device, values, credential=None):
        credential = credential or self.hub.enrol(device)
        client = Mqtt(credential)
        self.publish(client, device, values)
        client.close()
        return credential

    def shown(self, device):
        return [row["value"] for row in self.hub.readings(device)]

    def state(self, glob="hub.db*"):
        return list((self.hub.dir / "state").glob(glob))

    def assert_nowhere(self, values):
        for path in self.state():
            data = path.read_bytes()
            for value in values:
                for form in texts(value):
                    self.assertFalse(form in data, f"{value} is in {path.name} at {data.find(form)}")

    def query(self, sql):
        database = sqlite3.connect(f"file:{self.hub.dir}/state/hub.db?mode=ro", uri=True)
        try:
            return database.execute(sql).fetchall()
        finally:
            database.close()

    def test_the_database_shows_no_value(self):
        self.hub.start()
        self.send("cam-01", VALUES)
        self.assertEqual(sorted(self.shown("cam-01")), sorted(VALUES))
        self.assert_nowhere(VALUES)
        self.assertEqual(self.query("select distinct typeof(value), length(value) from reading"), [("blob", 24)])
        self.hub.stop()
        self.assert_nowhere(VALUES)
        # The keys are where only the signer reads, and not in the open there either.
        self.assertEqual((self.hub.dir / "keys/device-keys").stat().st_size, 2 * 160)
        self.hub.start()
        self.assertEqual(sorted(self.shown("cam-01")), sorted(VALUES))

    def test_an_erased_device_is_erased_in_a_copy_from_before(self):
        self.hub.start()
        credential = self.send("cam-01", VALUES)
        self.send("cam-02", (1.5,))
        self.hub.stop()
        for path in self.state():
            shutil.copy(path, self.hub.work / path.name)
        self.hub.start()
        erased = self.hub.json("privacy", "erase", "cam-01", "--reason", "the tenant left", "--yes")
        self.assertEqual(erased["generation"], 1)
        wait_for(lambda: self.query("select count(*) from reading")[0][0] == 1, say="the readings are deleted")
        self.assertEqual(self.shown("cam-01"), [])
        # What comes now is kept, under another key.
        self.send("cam-01", (5.25,), credential)
        self.assertEqual(self.shown("cam-01"), [5.25])
        self.assertEqual([row["what"] for row in self.hub.json("audit", "show") if row["what"].startswith("privacy")],
                         ["privacy.erase", "privacy.erased"])
        self.hub.stop()
        # The copy comes back.
        for path in self.state():
            path.unlink()
        for path in self.hub.work.glob("hub.db*"):
            shutil.copy(path, self.hub.dir / "state" / path.name)
            if os.geteuid() == 0:
                os.chown(self.hub.dir / "state" / path.name, 61402, 61402)
        self.hub.start()
        rows = self.hub.readings("cam-01")
        self.assertEqual([(row["value"], row["state"]) for row in rows], [(None, "erased")] * 3)
        self.assert_nowhere(VALUES)
        self.assertEqual(self.shown("cam-02"), [1.5])
        self.assertIn("3 readings cannot be shown", self.hub.fairlead("reading", "show", "cam-01").stderr)
        self.assertEqual(self.hub.fairlead("reading", "show", "cam-01", "--csv").stdout.splitlines()[1].split(",")[2], "")
        privacy = self.hub.json("privacy", "show", "cam-01")
        self.assertEqual((privacy["erased"], privacy["generation"], privacy["streams_erased"]), (1, 2, 1))
        self.assertEqual(self.hub.json("audit", "show")[-1]["what"], "privacy.found_erased")
        self.send("cam-01", (6.25,), credential)
        self.assertEqual([row["value"] for row in self.hub.readings("cam-01")], [None, None, None, 6.25])
        # Erasing it again deletes what nobody can read.
        self.hub.fairlead("privacy", "erase", "cam-01", "--yes")
        wait_for(lambda: self.shown("cam-01") == [], say="nothing is left")

    def test_erasing_is_asked_for(self):
        self.hub.start()
        self.send("cam-01", (1.5,))
        done = self.hub.fairlead("privacy", "erase", "cam-01", check=False, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 2)
        self.assertIn("cannot be undone", done.stderr)
        for typed, code in ((b"no\n", 1), (b"cam-01\n", 0)):
            ours, theirs = pty.openpty()
            process = subprocess.Popen([BIN / "fairlead", "--hub", self.hub.dir, "privacy", "erase", "cam-01"], stdin=theirs,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            os.close(theirs)
            os.write(ours, typed)
            stdout, stderr = process.communicate(timeout=60)
            os.close(ours)
            self.assertIn("It cannot be undone", stderr)
            self.assertEqual(process.returncode, code, stderr)
        self.assertIn("is erased, here and in every backup", stdout)

    def test_a_key_that_is_in_memory_outlives_the_signer_for_a_while(self):
        self.hub.start()
        first, second = self.hub.enrol("cam-01"), self.hub.enrol("cam-02")
        self.send("cam-01", (1.5,), first)
        before = self.hub.children()["fairlead-signer"]
        os.kill(before, signal.SIGKILL)
        self.send("cam-01", (2.5,), first)
        # A device whose key is not in memory is told to try again until the signer is back, and loses nothing.
        client = Mqtt(second)
        wait_for(lambda: client.publish("d/cam-02/t/temperature", b'{"t":1795330800000,"v":3.5}') == 0,
                 say="the signer's successor gives out keys")
        client.close()
        self.assertNotEqual(self.hub.children()["fairlead-signer"], before)
        self.assertEqual(self.shown("cam-01"), [1.5, 2.5])
        self.assertEqual(self.shown("cam-02"), [3.5])

    def test_a_database_of_the_version_before_is_sealed(self):
        self.hub.start()
        self.send("cam-01", (1.5,))
        self.hub.stop()
        path = self.hub.dir / "state/hub.db"
        database = sqlite3.connect(path)
        database.executescript("""
            delete from reading; delete from series; delete from data_key;
            create table series_1 (id integer primary key, device text not null, stream text not null, unique (device, stream));
            drop table series; alter table series_1 rename to series;
            insert into series values (1, 'cam-01', 'temperature');
            update meta set document = '{"version":1}' where key = cast('schema' as blob);""")
        database.executemany("insert into reading values (1, ?, ?, ?, 0)",
                             [(100 + i, 1795348800000 + i, VALUES[i % 3]) for i in range(3000)])
        database.execute("update counter set value = 3100 where name = 'position'")
        database.commit()
        database.close()
        with self.assertRaises(AssertionError):
            self.assert_nowhere(VALUES)
        (self.hub.dir / "keys/device-keys").write_bytes(b"")  # as `fairlead init --add-data-key` leaves it
        self.hub.start()
        rows = self.hub.readings("cam-01")
        self.assertEqual((len(rows), rows[0]["value"]), (3000, VALUES[0]))
        wait_for(lambda: self.query("select distinct typeof(value) from reading") == [("blob",)], say="everything is sealed")
        wait_for(lambda: "every reading is sealed now: 3000" in self.hub.log(), say="the log says so")
        rows = self.hub.readings("cam-01")
        self.assertEqual([row["value"] for row in rows], [VALUES[i % 3] for i in range(3000)])
        self.assertEqual(rows[0]["position"], 100)
        self.hub.stop()
        self.assert_nowhere(VALUES)

    def test_buckets(self):
        self.hub.start()
        credential = self.hub.enrol("cam-01")
        client = Mqtt(credential)
        for minute in range(3):
            for second in (5, 50):
                payload = f'{{"t":{1795330800000 + minute * 60000 + second * 1000},"v":{minute * 10 + second / 10}}}'
                self.assertEqual(client.publish("d/cam-01/t/temperature", payload), 0)
        client.close()
        rows = self.hub.json("reading", "show", "cam-01", "--every", "1m")
        self.assertEqual([(row["t"], row["count"], row["min"], row["max"], row["first"], row["last"]) for row in rows],
                         [(f"2026-11-22T07:0{m}:00Z", 2, m * 10 + 0.5, m * 10 + 5, m * 10 + 0.5, m * 10 + 5) for m in range(3)])
        self.assertAlmostEqual(rows[1]["mean"], 12.75)
        csv = self.hub.fairlead("reading", "show", "cam-01", "--every", "2m", "--csv").stdout.splitlines()
        self.assertEqual(csv[0], "t,stream,count,min,mean,max,first,last")
        self.assertEqual(csv[1], "2026-11-22T07:00:00Z,temperature,4,0.5,7.75,15,0.5,15")
        table = self.hub.fairlead("reading", "show", "cam-01", "--every", "1h").stdout
        self.assertIn("temperature", table)
        self.assertEqual(self.hub.fairlead("reading", "show", "cam-01", "--every", "soon", check=False).returncode, 2)


if __name__ == "__main__":
    unittest.main()
