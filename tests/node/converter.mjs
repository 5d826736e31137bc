// Answers questions about the payload converter of Temporal's TypeScript SDK: a JSON line for each
// JSON line. The requests:
//
//   {"op": "through", "converter": "default" or "protobufs",
//    "metadata": {name: base64, ...}, "data": base64}   decode a payload, and encode the value again
//   {"op": "make", "name": one of `values`}             encode a value that was made here
//   {"op": "versions"}                                  what runs here
//
// `through` and `make` answer with the payload, in the same form, and with what the value is:
// "type", and "json", which is null for undefined. What throws is answered as {"error": text}.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

import common from "@temporalio/common";
import protobufs from "@temporalio/common/lib/protobufs.js";
import protobufRoot from "@temporalio/proto/protos/root.js";

const about = createRequire(import.meta.url)("@temporalio/common/package.json");

const converters = {
  default: common.defaultPayloadConverter,
  protobufs: new protobufs.DefaultPayloadConverterWithProtobufs({ protobufRoot }),
};

// What JSON has no word for, and what Python and JavaScript see differently.
const values = {
  array_with_undefined: () => [1, undefined, 2],
  bigint: () => 1n,
  buffer_inside: () => ({ data: Buffer.from([1, 2]) }),
  bytes: () => new Uint8Array([0, 1, 255]),
  bytes_inside: () => ({ data: new Uint8Array([1, 2]) }),
  cycle: () => {
    const value = {};
    value.self = value;
    return value;
  },
  date: () => new Date(Date.UTC(2024, 0, 2, 3, 4, 5, 678)),
  date_inside: () => ({ name: "a", at: new Date(Date.UTC(2024, 0, 2, 3, 4, 5, 678)) }),
  invalid_date: () => new Date(NaN),
  large_number: () => 2 ** 53 + 2,
  largest_number: () => Number.MAX_VALUE,
  largest_safe_integer: () => Number.MAX_SAFE_INTEGER,
  lone_surrogate: () => "\ud800",
  map: () => new Map([["a", 1]]),
  nan: () => NaN,
  negative_zero: () => -0,
  nested: () => ({ item: { name: "a", count: 2 }, others: { b: { name: "b" } }, previous: null }),
  null: () => null,
  set: () => new Set([1]),
  smallest_number: () => Number.MIN_VALUE,
  ten_to_the_21: () => 1e21,
  undefined: () => undefined,
  undefined_field: () => ({ name: "a", count: undefined }),
  unicode: () => "é\u2028\u0000😀",
  whole_number: () => 1.0,
};

function typeOf(value) {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (value instanceof Uint8Array) return "Uint8Array";
  return typeof value;
}

function described(value, converter) {
  const { metadata, data } = converter.toPayload(value);
  const entries = Object.entries(metadata);
  return {
    metadata: Object.fromEntries(entries.map(([name, item]) => [name, toBase64(item)])),
    data: toBase64(data ?? []),
    type: typeOf(value),
    json: JSON.stringify(value) ?? null,
  };
}

function toBase64(bytes) {
  return Buffer.from(bytes).toString("base64");
}

// Not a Buffer: what the SDK gets from the server is not one either.
function fromBase64(text) {
  return new Uint8Array(Buffer.from(text, "base64"));
}

const operations = {
  through({ converter, metadata, data }) {
    const entries = Object.entries(metadata);
    const payload = {
      metadata: Object.fromEntries(entries.map(([name, item]) => [name, fromBase64(item)])),
      data: fromBase64(data),
    };
    return described(converters[converter].fromPayload(payload), converters[converter]);
  },
  make({ name }) {
    return described(values[name](), converters.default);
  },
  versions() {
    return { node: process.versions.node, common: about.version };
  },
};

function answer(line) {
  try {
    const request = JSON.parse(line);
    return operations[request.op](request);
  } catch (err) {
    return { error: `${err.name}: ${err.message}` };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(answer(line))}\n`);
}
