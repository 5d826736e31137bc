// The encryption codec of Temporal's TypeScript samples: what it does, in our own words.

import { webcrypto } from "node:crypto";
import { fileURLToPath } from "node:url";

import { ValueError } from "@temporalio/common";
import { decode, encode } from "@temporalio/common/lib/encoding.js";
import proto from "@temporalio/proto";

const { Payload } = proto.temporal.api.common.v1;
const ENCODING = "binary/encrypted";
const KEY_ID = "test-key-id";
const NONCE = 12; // bytes

const key = await webcrypto.subtle.importKey(
  "raw",
  Buffer.from("test-key-test-key-test-key-test!"),
  "AES-GCM",
  false,
  ["encrypt", "decrypt"],
);

const codec = {
  async encode(payloads) {
    return Promise.all(payloads.map(encrypt));
  },
  async decode(payloads) {
    return Promise.all(payloads.map(decrypt));
  },
};

async function encrypt(payload) {
  const iv = webcrypto.getRandomValues(new Uint8Array(NONCE));
  const message = Payload.encode(payload).finish();
  const ciphertext = await webcrypto.subtle.encrypt({ name: "AES-GCM", iv }, key, message);
  return {
    metadata: { encoding: encode(ENCODING), "encryption-key-id": encode(KEY_ID) },
    data: Buffer.concat([iv, Buffer.from(ciphertext)]),
  };
}

async function decrypt(payload) {
  if (decode(payload.metadata?.encoding) !== ENCODING) return payload;
  if (decode(payload.metadata["encryption-key-id"]) !== KEY_ID) throw new ValueError("unknown key");
  const iv = payload.data.subarray(0, NONCE);
  const ciphertext = payload.data.subarray(NONCE);
  const message = await webcrypto.subtle.decrypt({ name: "AES-GCM", iv }, key, ciphertext);
  return Payload.decode(new Uint8Array(message));
}

const failureConverterPath = fileURLToPath(new URL("failures.cjs", import.meta.url));

export const encrypted = { failureConverterPath, payloadCodecs: [codec] };
export const clear = { failureConverterPath };
