// Checks the files of `docs/vectors`:
//
//   node tests/node/vectors.mjs docs/vectors/*.json
//
// prints a JSON line for each vector, {"file": path, "name": text, "wrong": [field, ...]}. The exit
// code is 1 if a field of a vector is not what `formats.mjs` gives.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { inflateSync } from "node:zlib";

import {
  Refused,
  authenticated,
  contentId,
  dataKeyId,
  decode,
  decodeEnveloped,
  derive,
  encryptChunks,
  encryptGcm,
  envelopedContentKey,
  envelopedContext,
  parse,
  serialize,
  tlv,
  wrapDataKey,
  wrapperName,
} from "./formats.mjs";

const MAX_DECOMPRESSED = 2 ** 20; // bytes

function bytesOf(value, positives) {
  if (typeof value === "string") return Buffer.from(value, "hex");
  const parts = value.map((part) => {
    if (typeof part === "string") return Buffer.from(part, "hex");
    if ("repeat" in part) return Buffer.alloc(part.length, part.repeat, "hex");
    const { data } = positives.find(({ name }) => name === part.positive);
    return bytesOf(data).subarray(part.start, part.end);
  });
  return Buffer.concat(parts);
}

function metadataOf(entries) {
  return new Map(Object.entries(entries).map(([name, hex]) => [name, Buffer.from(hex, "hex")]));
}

function payloadOf({ metadata, data, external_payloads: sizes = [] }, positives) {
  return { metadata: metadataOf(metadata), data: bytesOf(data, positives), sizes };
}

function keysOf(keys) {
  const items = keys.map(({ kid, root, key = root, suite = "sealed-v1" }) => {
    return [kid, { suite, bytes: bytesOf(key) }];
  });
  return new Map(items);
}

// What `data` would be in the file: the bytes, or their digest where they are too many.
function published(data, like) {
  if (typeof like === "string") return data.toString("hex");
  return { sha256: createHash("sha256").update(data).digest("hex"), length: data.length };
}

// A payload with every Map and Buffer in a form that can be compared.
function plain({ metadata, data, sizes }) {
  const entries = [...metadata].map(([name, value]) => [name, value.toString("hex")]).sort();
  return { entries, data: data.toString("hex"), sizes };
}

function outcome(action) {
  try {
    return action();
  } catch (err) {
    if (err instanceof Refused) return err.name;
    throw err;
  }
}

// Each checker returns [what the file says, what is found here] by field.
const positive = {
  "binary/sealed-v1"(vector) {
    const root = bytesOf(vector.root);
    const inner = payloadOf(vector.inner);
    const metadata = new Map([
      ["encoding", Buffer.from("binary/sealed-v1")],
      ["encryption-key-id", Buffer.from(vector.kid)],
    ]);
    if (vector.context !== null) {
      const pairs = vector.context.map((pair) => pair.map((text) => Buffer.from(text)));
      metadata.set("encryption-context", tlv(pairs));
    }
    if ("encryption-content-id" in vector.metadata) {
      metadata.set("encryption-content-id", contentId(root, vector.kid, inner));
    }
    const key = derive(root, "content-key", vector.kid, 32);
    const context = authenticated(metadata);
    const message = serialize(inner);
    const data = encryptChunks(key, context, message, bytesOf(vector.salt));
    const outer = { metadata: metadataOf(vector.metadata), data };
    return {
      CK: [vector.CK, key.toString("hex")],
      KCV: [vector.KCV, derive(root, "kcv", vector.kid, 8).toString("hex")],
      CONTEXT: [vector.CONTEXT, context.toString("hex")],
      message: [bytesOf(vector.message).toString("hex"), message.toString("hex")],
      metadata: [vector.metadata, hexed(metadata)],
      data: [vector.data, published(data, vector.data)],
      inner: [plain(inner), outcome(() => plain(decode(outer, keysOf([vector]), vector.decoder)))],
    };
  },

  "binary/encrypted"(vector) {
    const key = bytesOf(vector.key);
    const nonce = bytesOf(vector.nonce);
    const inner = payloadOf(vector.inner);
    const metadata = new Map([
      ["encoding", Buffer.from("binary/encrypted")],
      ["encryption-key-id", Buffer.from(vector.kid)],
    ]);
    if ("encryption-cipher" in vector.metadata) {
      metadata.set("encryption-cipher", Buffer.from("AES/GCM/NoPadding"));
    }
    const message = bytesOf(vector.message);
    const data = Buffer.concat([nonce, encryptGcm(key, nonce, message)]);
    const outer = { metadata: metadataOf(vector.metadata), data };
    const keys = keysOf([{ ...vector, suite: "interop" }]);
    const fields = {
      message: [plain(inner), outcome(() => plain(parse(message)))],
      metadata: [vector.metadata, hexed(metadata)],
      data: [vector.data, published(data, vector.data)],
      inner: [plain(inner), outcome(() => plain(decode(outer, keys, { policy: "strict" })))],
    };
    if (vector.decompressed) {
      const found = plain(parse(inflateSync(inner.data, { maxOutputLength: MAX_DECOMPRESSED })));
      fields.decompressed = [plain(payloadOf(vector.decompressed)), found];
    }
    return fields;
  },

  "binary/enveloped-v1"(vector) {
    const dataKey = bytesOf(vector.data_key);
    const inner = payloadOf(vector.inner);
    const wraps = vector.wraps.map(({ key, nonce }) => {
      const wrapped = wrapDataKey(bytesOf(key), dataKey, vector.tenant, bytesOf(nonce));
      return { key, name: wrapperName(bytesOf(key)), nonce, wrapped: wrapped.toString("hex") };
    });
    const named = wraps.map(({ name, wrapped }) => [Buffer.from(name), bytesOf(wrapped)]);
    const metadata = new Map([
      ["encoding", Buffer.from("binary/enveloped-v1")],
      ["encryption-key-id", Buffer.from(dataKeyId(dataKey))],
      ["encryption-wrapped-key", tlv(named)],
    ]);
    if (vector.context !== null) {
      const pairs = vector.context.map((pair) => pair.map((text) => Buffer.from(text)));
      metadata.set("encryption-context", tlv(pairs));
    }
    const key = envelopedContentKey(dataKey);
    const context = envelopedContext(metadata);
    const message = serialize(inner);
    const data = encryptChunks(key, context, message, bytesOf(vector.salt));
    const outer = { metadata: metadataOf(vector.metadata), data };
    // Each key file opens it alone.
    const opened = vector.wraps.map(({ key: file }) =>
      outcome(() => plain(decodeEnveloped(outer, [bytesOf(file)], vector.tenant, vector.decoder))),
    );
    return {
      kid: [vector.kid, dataKeyId(dataKey)],
      CK: [vector.CK, key.toString("hex")],
      CONTEXT: [vector.CONTEXT, context.toString("hex")],
      wraps: [vector.wraps, wraps],
      message: [bytesOf(vector.message).toString("hex"), message.toString("hex")],
      metadata: [vector.metadata, hexed(metadata)],
      data: [vector.data, published(data, vector.data)],
      inner: [vector.wraps.map(() => plain(inner)), opened],
    };
  },
};

function hexed(metadata) {
  return Object.fromEntries([...metadata].map(([name, value]) => [name, value.toString("hex")]));
}

function negative(vector, positives) {
  const payload = payloadOf(vector, positives);
  const decoder = vector.decoder ?? { policy: "strict" };
  const decodeIt = () =>
    "key_files" in vector
      ? decodeEnveloped(payload, vector.key_files.map((key) => bytesOf(key)), vector.tenant, decoder)
      : decode(payload, keysOf(vector.keys), decoder);
  const found = outcome(() => plain(decodeIt()));
  return { error: [vector.error, found] };
}

function* check(file) {
  const { format, positives, negatives } = JSON.parse(readFileSync(file, "utf-8"));
  const results = [
    ...positives.map((vector) => [vector.name, positive[format](vector)]),
    ...negatives.map((vector) => [vector.name, negative(vector, positives)]),
  ];
  for (const [name, fields] of results) {
    const differs = ([, [said, found]]) => !isDeepStrictEqual(said, found);
    yield { file, name, wrong: Object.entries(fields).filter(differs).map(([field]) => field) };
  }
}

for (const result of process.argv.slice(2).flatMap((file) => [...check(file)])) {
  process.stdout.write(`${JSON.stringify(result)}\n`);
  if (result.wrong.length) process.exitCode = 1;
}
