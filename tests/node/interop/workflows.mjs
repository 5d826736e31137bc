// The workflows of `tests/temporal/app/sealwire_test_app.py`, as far as a client can tell.

import {
  ApplicationFailure,
  condition,
  defineQuery,
  defineSignal,
  defineUpdate,
  executeChild,
  proxyActivities,
  proxyLocalActivities,
  setHandler,
} from "@temporalio/workflow";

const options = { startToCloseTimeout: "20 seconds", retry: { maximumAttempts: 1 } };
const { describe, fail } = proxyActivities(options);
const { describeLocally } = proxyLocalActivities(options);

export async function Everything(person) {
  let told;
  setHandler(defineSignal("tell"), (text) => {
    told = text;
  });
  setHandler(defineUpdate("change"), (text) => `changed ${text}`);
  setHandler(defineQuery("ask"), () => "MARKER-query-result");
  const results = [
    await describe.executeWithOptions({ ...options, summary: "MARKER-summary" }, [person]),
    await describeLocally(person),
    await executeChild(Child, { args: ["MARKER-child-argument"] }),
  ];
  const failures = [];
  try {
    await fail(person);
  } catch (err) {
    failures.push(err.cause.message);
  }
  await condition(() => told !== undefined);
  return { result: "MARKER-result", results, failures, signal: told };
}

export async function Child(text) {
  return `MARKER-child-result ${text}`;
}

export async function Failing(person) {
  throw ApplicationFailure.create({
    message: `MARKER-failure-message ${person.name}`,
    details: [person.card],
    nonRetryable: true,
  });
}
