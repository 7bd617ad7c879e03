// Keeps what a consumer's filter lets through in a file, one line an event, each once: kill it, start it again.
//
// npm install
// NATS_URL=nats://consumer-billing:PASSWORD@127.0.0.1:4222 CONSUMER=billing node consumer.mjs billing.ndjson

import { closeSync, existsSync, fsyncSync, openSync, readFileSync, truncateSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

const path = process.argv[2];
const name = process.env.CONSUMER;
const url = new URL(process.env.NATS_URL);
const seen = kept(path);
const file = openSync(path, "a");

const client = await connect({
  servers: url.host,
  user: url.username,
  pass: url.password,
  inboxPrefix: `_INBOX_${name}`,
  maxReconnectAttempts: -1,
  waitOnFirstConnect: true,
});
process.once("SIGTERM", async () => {
  closeSync(file);
  await client.close();
  process.exit(0);
});

for (;;) {
  try {
    const consumer = await jetstream(client).consumers.get("LOG", `consumer-${name}`);
    for (;;) {
      const got = [];
      for await (const message of await consumer.fetch({ max_messages: 100, expires: 1_000 })) {
        keep(message);
        got.push(message);
      }
      fsyncSync(file);
      got.forEach((message) => message.ack()); // only now: what is not on the disk comes again
    }
  } catch (error) { // the stream is being made anew, or NATS is away
    console.error(`Again in a second: ${error.message}`);
    await sleep(1_000);
  }
}

function keep(message) {
  const header = (key) => message.headers?.get(key) || null;
  const id = header("ce-id");
  const epoch = header("Postcommit-Epoch");
  const position = message.seq; // of the stream: the position in the log
  if (!id || seen.has(`${epoch} ${position}`) || seen.has(id)) return; // no fact of the log, or it came before
  // A stub is too large for a message: GET /v1/events?after=<position - 1>&limit=1 tells it.
  const data = header("Postcommit-Stub") ? null : message.json();
  writeSync(file, `${JSON.stringify({ epoch, position, id, type: header("ce-type"), data })}\n`);
  seen.add(`${epoch} ${position}`).add(id);
}

/** What the file holds; a last line that a crash has torn is cut off. */
function kept(path) {
  if (!existsSync(path)) return new Set();
  const text = readFileSync(path);
  const whole = text.lastIndexOf("\n") + 1;
  truncateSync(path, whole);
  const lines = text.subarray(0, whole).toString().split("\n").filter(Boolean).map((line) => JSON.parse(line));
  return new Set(lines.flatMap(({ epoch, position, id }) => [`${epoch} ${position}`, id]));
}
