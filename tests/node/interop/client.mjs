// Runs the workflows `Everything` and `Failing` with the client of Temporal's TypeScript SDK, which
// encrypts. Reads what to send from stdin, as JSON:
//
//   {"address", "queue", "person", "memo", "update", "signal"}
//
// and prints what came back, as JSON. The workflows' ids are the queue's name, and that with
// "-failing".

import { text } from "node:stream/consumers";

import { Client, Connection } from "@temporalio/client";

import { encrypted } from "./converter.mjs";

const { address, queue, person, memo, update, signal } = JSON.parse(await text(process.stdin));
const connection = await Connection.connect({ address });
const { workflow } = new Client({ connection, dataConverter: encrypted });
const options = { taskQueue: queue, args: [person], workflowExecutionTimeout: "60 seconds" };

async function everything() {
  const handle = await workflow.start("Everything", { ...options, workflowId: queue, memo });
  const changed = await handle.executeUpdate("change", { args: [update] });
  await handle.signal("tell", signal);
  return {
    update: changed,
    result: await handle.result(),
    query: await handle.query("ask"),
    memo: (await handle.describe()).memo,
  };
}

async function failing() {
  try {
    await workflow.execute("Failing", { ...options, workflowId: `${queue}-failing` });
  } catch ({ cause }) {
    return { message: cause.message, details: cause.details };
  }
}

const seen = { ...(await everything()), failure: await failing() };
process.stdout.write(JSON.stringify(seen));
await connection.close();
