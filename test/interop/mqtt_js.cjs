// SPDX-License-Identifier: Apache-2.0
// Claims about MQTT.js against a hub: `node mqtt_js.cjs CONFIG.json`. Prints one line a claim; the first that fails ends it.
'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const mqtt = require('mqtt');

const config = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const five = config.version === 5;
const tls = {ca: fs.readFileSync(config.ca), cert: fs.readFileSync(config.cert), key: fs.readFileSync(config.key)};
const own = `d/${config.device}/e`;
const open = new Set();
const DEADLINE_MS = 30000;

function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${DEADLINE_MS} ms`)), DEADLINE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function connect(clientId, more = {}) {
  const client = mqtt.connect(config.url, {...tls, protocolVersion: config.version, clientId, reconnectPeriod: 0, clean: true, ...more});
  client.heard = [];
  client.on('message', (topic, payload, packet) => client.heard.push({topic, payload, packet}));
  client.connack = await within(new Promise((resolve, reject) => {
    client.once('connect', resolve);
    client.once('error', reject);
    client.once('close', () => reject(new Error('closed')));
  }), `CONNACK for ${clientId}`);
  client.on('error', () => {});
  open.add(client);
  return client;
}

const end = (client) => { open.delete(client); return within(client.endAsync(), 'the end'); };
const drop = (client) => new Promise((resolve) => {  // as a cable that is cut
  open.delete(client);
  client.once('close', () => client.end(true, () => resolve()));
  client.stream.destroy();
});

async function heard(client, count) {
  await within((async () => {
    while (client.heard.length < count) await new Promise((resolve) => setTimeout(resolve, 10));
  })(), `${count} messages, so far ${client.heard.length}`);
  return client.heard;
}

async function subscribe(client, topic, qos, options = {}) {
  const [granted] = await within(client.subscribeAsync(topic, {qos, ...options}), 'SUBACK');
  return granted.qos;
}

const publish = (client, ...args) => within(client.publishAsync(...args), 'the acknowledgement');
const kept = five ? {clean: false, properties: {sessionExpiryInterval: 600}} : {clean: false};

const claims = {
  async every_qos_arrives_in_its_order() {
    const client = await connect('qos');
    assert.equal(await subscribe(client, `${own}/qos`, 2), 2);
    for (let i = 0; i < 30; i++) await publish(client, `${own}/qos`, String(i), {qos: i % 3});
    const messages = await heard(client, 30);
    for (const qos of [0, 1, 2]) {
      const got = messages.filter((m) => m.packet.qos === qos).map((m) => Number(m.payload));
      assert.deepEqual(got, Array.from({length: 10}, (_, i) => 3 * i + qos));
    }
    await end(client);
  },

  async readings_are_taken() {
    const client = await connect('readings');
    for (const qos of [0, 1, 2]) await publish(client, `d/${config.device}/t/temperature`, String(20 + qos), {qos});
    await end(client);
  },

  async a_refused_reading_is_explained() {
    const client = await connect('refused');
    const refusal = publish(client, `d/${config.device}/t/temperature`, '999', {qos: 1});
    if (!five) {
      await refusal;
    } else {
      let said;
      client.on('packetreceive', (packet) => { if (packet.cmd === 'puback') said = packet; });
      await assert.rejects(refusal, (error) => error.code === 0x99);
      assert.match(said.properties.reasonString, /'temperature': 999 is out of range: -40 to 85/);
    }
    await end(client);
  },

  async a_retained_message_meets_later_subscribers() {
    const writer = await connect('writer');
    await publish(writer, `${own}/state`, 'old', {qos: 1, retain: true});
    await publish(writer, `${own}/state`, 'new', {qos: 2, retain: true});
    const reader = await connect('reader');
    await subscribe(reader, `${own}/state`, 1);
    const [message] = await heard(reader, 1);
    assert.equal(message.payload.toString(), 'new');
    assert.equal(message.packet.retain, true);
    await publish(writer, `${own}/state`, '', {qos: 1, retain: true});
    await end(reader);
    await end(writer);
  },

  async a_will_is_said_when_the_client_could_not() {
    const reader = await connect('reader');
    await subscribe(reader, `${own}/gone`, 2);
    const will = (payload) => ({will: {topic: `${own}/gone`, payload: Buffer.from(payload), qos: 2, retain: false}});
    await end(await connect('polite', will('polite')));
    await drop(await connect('rude', will('rude')));
    const messages = await heard(reader, 1);
    assert.deepEqual(messages.map((m) => [m.payload.toString(), m.packet.qos]), [['rude', 2]]);
    await end(reader);
  },

  async a_session_waits_for_its_client() {
    const first = await connect('sleeper', kept);
    assert.equal(first.connack.sessionPresent, false);
    assert.equal(await subscribe(first, `${own}/sleep`, 2), 2);
    await drop(first);
    const writer = await connect('writer');
    for (let i = 0; i < 20; i++) await publish(writer, `${own}/sleep`, String(i), {qos: 1 + i % 2});
    const again = await connect('sleeper', kept);
    assert.equal(again.connack.sessionPresent, true);
    const messages = await heard(again, 20);
    for (const qos of [1, 2]) {
      const got = messages.filter((m) => m.packet.qos === qos).map((m) => Number(m.payload));
      assert.deepEqual(got, Array.from({length: 10}, (_, i) => 2 * i + qos - 1));
    }
    await end(again);
    await end(writer);
    await end(await connect('sleeper')); // a clean one takes the session away
  },

  async members_of_a_share_take_turns() {
    const members = [await connect('member-0'), await connect('member-1')];
    for (const member of members) assert.equal(await subscribe(member, `$share/g/${own}/shared`, 1), 1);
    for (let i = 0; i < 10; i++) await publish(members[0], `${own}/shared`, String(i), {qos: 1});
    await Promise.all(members.map((member) => heard(member, 5)));
    const all = members.flatMap((member) => member.heard.map((m) => Number(m.payload)));
    assert.deepEqual(all.sort((a, b) => a - b), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    for (const member of members) await end(member);
  },

  async large_payloads_arrive_whole() {
    const client = await connect('large');
    await subscribe(client, `${own}/large`, 2);
    const payload = Buffer.alloc(200000, 0).map((_, i) => i * 31 % 251);
    for (const qos of [0, 1, 2]) await publish(client, `${own}/large`, payload, {qos});
    for (const message of await heard(client, 3)) assert.ok(payload.equals(message.payload));
    await end(client);
  },

  async properties_travel() {
    if (!five) return;
    const client = await connect('properties');
    await subscribe(client, `${own}/properties`, 1);
    const properties = {userProperties: {b: ['2', '0'], a: '1'}, responseTopic: `${own}/answer`, correlationData: Buffer.from([0, 255]),
      contentType: 'text/plain', payloadFormatIndicator: true, messageExpiryInterval: 100};
    await publish(client, `${own}/properties`, 'text', {qos: 1, properties});
    const got = (await heard(client, 1))[0].packet.properties;
    assert.deepEqual({...got.userProperties}, {b: ['2', '0'], a: '1'});
    assert.deepEqual([got.responseTopic, [...got.correlationData], got.contentType, got.payloadFormatIndicator],
      [`${own}/answer`, [0, 255], 'text/plain', true]);
    assert.ok(got.messageExpiryInterval <= 100);
    await end(client);
  },

  async what_the_profile_forbids_is_refused() {
    const client = await connect('forbidden');
    await assert.rejects(subscribe(client, 'd/other/#', 1), (error) => {
      assert.deepEqual([...error.packet.granted], [five ? 0x87 : 0x80]);
      if (five) assert.match(error.packet.properties.reasonString, /does not allow subscribing/);
      return true;
    });
    await end(client);
  },

  async keep_alive_keeps() {
    const client = await connect('alive', {keepalive: 1});
    await new Promise((resolve) => setTimeout(resolve, 3000));
    assert.ok(client.connected);
    await end(client);
  },
};

(async () => {
  for (const [name, claim] of Object.entries(claims)) {
    await claim();
    console.log(`ok ${name}`);
  }
  assert.equal(open.size, 0);
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
