// The encrypted formats once more, written from `docs/reference/wire-format.md`; uses nothing but
// what Node.js brings.
//
// A payload, the protobuf message `temporal.api.common.v1.Payload`, is {metadata, data, sizes}:
// a Map from names to Buffers, a Buffer, and the sizes of the external payloads, numbers.

import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  timingSafeEqual,
} from "node:crypto";

const LABEL = Buffer.from("sealwire/sealed-v1\0");
const ENVELOPED_LABEL = Buffer.from("sealwire/enveloped-v1\0");
const WRAPPER_LABEL = Buffer.from("sealwire/local-wrapper-v1\0");
const SCHEME = Buffer.from("c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0");
const SALT = 24;
const COMMITMENT = 32;
const NONCE = 12;
const TAG = 16;
const CHUNK = 16384;
const EMPTY = Buffer.alloc(0);
const KEY_ID = /^[A-Za-z0-9][A-Za-z0-9._:/@+=-]{0,199}$/;
const SEALED_NAMES = [
  "encoding",
  "encryption-key-id",
  "encryption-context",
  "encryption-content-id",
];

const ENVELOPED_NAMES = [
  "encoding",
  "encryption-key-id",
  "encryption-wrapped-key",
  "encryption-context",
];

// Why a payload is refused; the name is that of the published errors.
export class Refused extends Error {
  constructor(name) {
    super(name);
    this.name = name;
  }
}

function u32(number) {
  const output = Buffer.alloc(4);
  output.writeUInt32BE(number);
  return output;
}

// `pairs` is an array of [name, value], both Buffers.
export function tlv(pairs) {
  const sorted = [...pairs].sort(([a], [b]) => Buffer.compare(a, b));
  const items = sorted.flat().flatMap((item) => [u32(item.length), item]);
  return Buffer.concat([u32(sorted.length), ...items]);
}

// The pairs of `encryption-context`, or of another TLV of at most 4096 bytes.
function parseTlv(data, most = 16) {
  const items = [];
  let at = 4;
  const count = data.length < 4 || data.length > 4096 ? Infinity : data.readUInt32BE(0);
  if (count > most) throw new Refused("DecryptError");
  for (let index = 0; index < 2 * count; index += 1) {
    if (at + 4 > data.length) throw new Refused("DecryptError");
    const end = at + 4 + data.readUInt32BE(at);
    items.push(data.subarray(at + 4, end));
    at = end;
  }
  const named = new Map();
  for (let index = 0; index < items.length; index += 2) {
    named.set(items[index].toString("latin1"), [items[index], items[index + 1]]);
  }
  const pairs = [...named.values()];
  if (!tlv(pairs).equals(data)) throw new Refused("DecryptError");
  return pairs;
}

function varint(number) {
  const output = [];
  for (; number > 127; number = Math.floor(number / 128)) output.push((number % 128) + 128);
  return Buffer.from([...output, number]);
}

function field(number, value) {
  return Buffer.concat([varint(number * 8 + 2), varint(value.length), value]);
}

export function serialize({ metadata, data, sizes }) {
  const entries = [...metadata].map(([name, value]) => [Buffer.from(name), value]);
  entries.sort(([a], [b]) => Buffer.compare(a, b));
  return Buffer.concat([
    ...entries.map(([name, value]) => field(1, Buffer.concat([field(1, name), field(2, value)]))),
    data.length ? field(2, data) : EMPTY,
    ...sizes.map((size) => field(3, size ? Buffer.concat([varint(8), varint(size)]) : EMPTY)),
  ]);
}

// Yields [field number, value]: a number for a varint, else a Buffer.
function* fieldsOf(data) {
  let at = 0;
  function number() {
    for (let value = 0, unit = 1; at < data.length; unit *= 128) {
      const byte = data[at++];
      value += (byte % 128) * unit;
      if (byte < 128) return value;
    }
    throw new Refused("DecryptError");
  }
  while (at < data.length) {
    const tag = number();
    const size = { 0: () => 0, 1: () => 8, 2: number, 5: () => 4 }[tag % 8]?.();
    if (size === undefined || at + size > data.length) throw new Refused("DecryptError");
    yield [Math.floor(tag / 8), tag % 8 ? data.subarray(at, (at += size)) : number()];
  }
}

export function parse(message) {
  const payload = { metadata: new Map(), data: EMPTY, sizes: [] };
  for (const [number, value] of fieldsOf(message)) {
    if (number === 1) {
      const entry = new Map(fieldsOf(value));
      payload.metadata.set((entry.get(1) ?? EMPTY).toString(), entry.get(2) ?? EMPTY);
    }
    if (number === 2) payload.data = value;
    if (number === 3) payload.sizes.push(new Map(fieldsOf(value)).get(1) ?? 0);
  }
  return payload;
}

function hkdfExpand(prk, info, size) {
  const blocks = [EMPTY];
  for (let counter = 1; (counter - 1) * 64 < size; counter += 1) {
    const hmac = createHmac("sha512", prk);
    blocks.push(hmac.update(blocks.at(-1)).update(info).update(Buffer.from([counter])).digest());
  }
  return Buffer.concat(blocks).subarray(0, size);
}

export function derive(root, purpose, kid, size) {
  return hkdfExpand(root, Buffer.concat([LABEL, Buffer.from(`${purpose}\0${kid}`)]), size);
}

export function contentId(root, kid, { metadata, data }) {
  const entries = [...metadata].map(([name, value]) => [Buffer.from(name), value]);
  const hmac = createHmac("sha256", derive(root, "content-id", kid, 32));
  return hmac.update(tlv(entries)).update(data).digest();
}

export function authenticated(metadata, label = LABEL) {
  const entries = [...metadata].map(([name, value]) => [Buffer.from(name), value]);
  return Buffer.concat([label, tlv(entries)]);
}

export function encryptGcm(key, nonce, plain, associated = EMPTY) {
  const cipher = createCipheriv(`aes-${key.length * 8}-gcm`, key, nonce, { authTagLength: TAG });
  cipher.setAAD(associated);
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

function decryptGcm(key, nonce, sealed, associated = EMPTY) {
  if (sealed.length < TAG) throw new Refused("DecryptError");
  const cipher = createDecipheriv(`aes-${key.length * 8}-gcm`, key, nonce, { authTagLength: TAG });
  cipher.setAAD(associated);
  cipher.setAuthTag(sealed.subarray(-TAG));
  try {
    return Buffer.concat([cipher.update(sealed.subarray(0, -TAG)), cipher.final()]);
  } catch {
    throw new Refused("DecryptError");
  }
}

function messageKeys(key, context, salt) {
  const derived = hkdfExpand(key, Buffer.concat([SCHEME, salt, context]), 32 + NONCE + COMMITMENT);
  return [derived.subarray(0, 32), derived.subarray(32, 32 + NONCE), derived.subarray(32 + NONCE)];
}

function chunkNonce(base, index) {
  const nonce = Buffer.from(base);
  nonce.writeUInt32BE((nonce.readUInt32BE(NONCE - 4) ^ index) >>> 0, NONCE - 4);
  return nonce;
}

export function encryptChunks(key, context, message, salt) {
  const [aeadKey, base, commitment] = messageKeys(key, context, salt);
  const output = [salt, commitment];
  for (let index = 0; index <= Math.floor(message.length / CHUNK); index += 1) {
    const part = message.subarray(index * CHUNK, (index + 1) * CHUNK);
    output.push(encryptGcm(aeadKey, chunkNonce(base, index), part));
  }
  return Buffer.concat(output);
}

function decryptChunks(key, context, data) {
  const body = data.subarray(SALT + COMMITMENT);
  const [aeadKey, base, commitment] = messageKeys(key, context, data.subarray(0, SALT));
  const rest = body.length % (CHUNK + TAG);
  if (rest < TAG || !timingSafeEqual(commitment, data.subarray(SALT, SALT + COMMITMENT))) {
    throw new Refused("DecryptError");
  }
  const output = [];
  for (let index = 0; index * (CHUNK + TAG) < body.length; index += 1) {
    const chunk = body.subarray(index * (CHUNK + TAG), (index + 1) * (CHUNK + TAG));
    output.push(decryptGcm(aeadKey, chunkNonce(base, index), chunk));
  }
  return Buffer.concat(output);
}

function admit({ metadata, data }, decoder) {
  if ([...metadata.keys()].some((name) => name.startsWith("encryption-"))) {
    throw new Refused("DecryptError");
  }
  if (decoder.policy === "strict") throw new Refused("UnencryptedPayloadError");
  return { metadata, data, sizes: [] };
}

// `keys` is a Map from an id to {suite, bytes}.
export function decode({ metadata, data }, keys, decoder) {
  const encoding = metadata.get("encoding")?.toString("latin1");
  if (encoding !== "binary/sealed-v1" && encoding !== "binary/encrypted") {
    return admit({ metadata, data }, decoder);
  }
  const kid = (metadata.get("encryption-key-id") ?? EMPTY).toString("latin1");
  if (!KEY_ID.test(kid)) throw new Refused("DecryptError");
  const key = keys.get(kid);
  if (key === undefined) throw new Refused("KeyNotFoundError");
  if (encoding !== { "sealed-v1": "binary/sealed-v1", interop: "binary/encrypted" }[key.suite]) {
    throw new Refused("DecryptError");
  }
  const open = key.suite === "interop" ? decodeInterop : decodeSealed;
  return open(metadata, data, key.bytes, kid, decoder);
}

function decodeSealed(metadata, data, root, kid, decoder) {
  const id = metadata.get("encryption-content-id");
  const known = [...metadata.keys()].every((name) => SEALED_NAMES.includes(name));
  if (!known || (id && id.length !== 32) || data.length < SALT + COMMITMENT + TAG) {
    throw new Refused("DecryptError");
  }
  const key = derive(root, "content-key", kid, 32);
  const inner = parse(decryptChunks(key, authenticated(metadata), data));
  const context = metadata.get("encryption-context");
  checkContext(context, decoder);
  return inner;
}

function checkContext(context, decoder) {
  const pairs = context === undefined ? [] : parseTlv(context);
  const namespace = pairs.find(([name]) => name.equals(Buffer.from("namespace")))?.[1].toString();
  const accepted = [decoder.namespace, ...decoder.accept_namespaces];
  if (namespace === undefined ? decoder.require_context : !accepted.includes(namespace)) {
    throw new Refused("ContextMismatchError");
  }
}

// The key of a local key file is a Buffer of 32 bytes.
export function wrapperName(key) {
  const digest = createHash("sha256").update(WRAPPER_LABEL).update(key).digest();
  return `local:${digest.toString("hex", 0, 8)}`;
}

function binding(tenant) {
  return Buffer.concat([WRAPPER_LABEL, Buffer.from(`enveloped-v1/${tenant}`)]);
}

export function wrapDataKey(key, dataKey, tenant, nonce) {
  return Buffer.concat([nonce, encryptGcm(key, nonce, dataKey, binding(tenant))]);
}

export function dataKeyId(dataKey) {
  const info = Buffer.concat([ENVELOPED_LABEL, Buffer.from("key-id")]);
  return `dk-${hkdfExpand(dataKey, info, 16).toString("hex")}`;
}

export function envelopedContentKey(dataKey) {
  const info = Buffer.from(`content-key\0${dataKeyId(dataKey)}`);
  return hkdfExpand(dataKey, Buffer.concat([ENVELOPED_LABEL, info]), 32);
}

export function envelopedContext(metadata) {
  return authenticated(metadata, ENVELOPED_LABEL);
}

function parseWraps(data) {
  const pairs = parseTlv(data, 4).map(([name, wrapped]) => {
    const text = name.toString();
    const shown = text && !/(?! )[\p{C}\p{Z}]/u.test(text) && Buffer.from(text).equals(name);
    if (!shown || name.length > 512 || !wrapped.length) throw new Refused("DecryptError");
    return [text, wrapped];
  });
  if (!pairs.length) throw new Refused("DecryptError");
  return new Map(pairs);
}

// `keyFiles` is an array of the keys of local key files.
export function decodeEnveloped({ metadata, data }, keyFiles, tenant, decoder) {
  if (metadata.get("encoding")?.toString("latin1") !== "binary/enveloped-v1") {
    return admit({ metadata, data }, decoder);
  }
  const kid = metadata.get("encryption-key-id")?.toString("latin1") ?? "";
  const known = [...metadata.keys()].every((name) => ENVELOPED_NAMES.includes(name));
  if (!known || !/^dk-[0-9a-f]{32}$/.test(kid) || data.length < SALT + COMMITMENT + TAG) {
    throw new Refused("DecryptError");
  }
  const wraps = parseWraps(metadata.get("encryption-wrapped-key") ?? EMPTY);
  const key = keyFiles.find((item) => wraps.has(wrapperName(item)));
  if (key === undefined) throw new Refused("KeyNotFoundError");
  const wrapped = wraps.get(wrapperName(key));
  const sealed = wrapped.subarray(NONCE);
  const dataKey = decryptGcm(key, wrapped.subarray(0, NONCE), sealed, binding(tenant));
  if (dataKeyId(dataKey) !== kid) throw new Refused("DecryptError");
  const context = envelopedContext(metadata);
  const inner = parse(decryptChunks(envelopedContentKey(dataKey), context, data));
  checkContext(metadata.get("encryption-context"), decoder);
  return inner;
}

function decodeInterop(metadata, data, key) {
  const java = metadata.get("encryption-cipher")?.toString("latin1") === "AES/GCM/NoPadding";
  if (metadata.size !== (java ? 3 : 2) || data.length < NONCE + TAG) {
    throw new Refused("DecryptError");
  }
  return parse(decryptGcm(key, data.subarray(0, NONCE), data.subarray(NONCE)));
}
