// Runs two workers of Temporal's TypeScript SDK until stdin ends:
//
//   node worker.mjs ADDRESS QUEUE CLEAR_QUEUE
//
// The first one encrypts, the second one does not. Prints a line when both can take tasks.

import { fileURLToPath } from "node:url";

import { ApplicationFailure } from "@temporalio/common";
import {
  DefaultLogger,
  NativeConnection,
  Runtime,
  Worker,
  bundleWorkflowCode,
} from "@temporalio/worker";

import { clear, encrypted } from "./converter.mjs";

const activities = {
  async describe(person) {
    return `MARKER-activity-result ${person.name}`;
  },
  async describeLocally(person) {
    return `MARKER-local-result ${person.name}`;
  },
  async fail(person) {
    throw ApplicationFailure.create({
      message: `MARKER-failure-message ${person.name}`,
      details: ["MARKER-failure-detail"],
      cause: new Error("MARKER-failure-cause"),
    });
  },
};

const [address, ...queues] = process.argv.slice(2);
const stdinEnd = new Promise((resolve) => process.stdin.resume().on("end", resolve));
const logger = new DefaultLogger("ERROR");
Runtime.install({ logger });
const workflowBundle = await bundleWorkflowCode({
  workflowsPath: fileURLToPath(new URL("workflows.mjs", import.meta.url)),
  failureConverterPath: encrypted.failureConverterPath,
  logger,
});
const connection = await NativeConnection.connect({ address });
const workers = await Promise.all(
  [encrypted, clear].map((dataConverter, index) =>
    Worker.create({
      connection,
      taskQueue: queues[index],
      workflowBundle,
      activities,
      dataConverter,
    }),
  ),
);
process.stdout.write("ready\n");
await Promise.all(workers.map((worker) => worker.runUntil(stdinEnd)));
await connection.close();
