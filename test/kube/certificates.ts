/**
 * Certificates for tests: an authority and the certificates that it signs (RFC 5280), P-256 with
 * SHA-256. They are valid until 2049, the last year that UTCTime can express.
 */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

export interface Certificate {
  /** PEM. */
  readonly cert: string;
  /** PEM. */
  readonly key: string;
}

const OID = {
  commonName: '550403',
  basicConstraints: '551d13',
  subjectAltName: '551d11',
  ecdsaWithSha256: '2a8648ce3d040302',
} as const;

export class CertificateAuthority implements Certificate {
  readonly cert: string;
  readonly key: string;
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
    const isAuthority = extension(OID.basicConstraints, sequence(tlv(0x01, Buffer.from([0xff]))));
    const own = this.#issue(name, [isAuthority], undefined);
    this.cert = own.cert;
    this.key = own.key;
  }

  /** Returns a certificate for a server with these IPv4 addresses and DNS names. */
  server(addresses: readonly string[], names: readonly string[] = []): Certificate {
    const alternatives = [
      ...addresses.map((address) => tlv(0x87, Buffer.from(address.split('.').map(Number)))),
      ...names.map((name) => tlv(0x82, Buffer.from(name))),
    ];
    return this.#issue(addresses[0] ?? 'server', [extension(OID.subjectAltName, sequence(...alternatives))], this.key);
  }

  client(name: string): Certificate {
    return this.#issue(name, [], this.key);
  }

  /** @param signer PEM of the signing key; undefined: its own */
  #issue(subject: string, extensions: readonly Buffer[], signer: string | undefined): Certificate {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const algorithm = sequence(oid(OID.ecdsaWithSha256));
    const validity = sequence(tlv(0x17, Buffer.from('200101000000Z')), tlv(0x17, Buffer.from('491231235959Z')));
    const body = sequence(
      tlv(0xa0, integer(Buffer.from([2]))),
      integer(Buffer.concat([Buffer.from([1]), randomBytes(8)])),
      algorithm,
      distinguishedName(this.#name),
      validity,
      distinguishedName(subject),
      publicKey.export({ type: 'spki', format: 'der' }),
      ...(extensions.length === 0 ? [] : [tlv(0xa3, sequence(...extensions))]),
    );
    const key = pem(privateKey);
    const signature = sign('sha256', body, signer ?? key);
    const der = sequence(body, algorithm, tlv(0x03, Buffer.concat([Buffer.from([0]), signature])));
    const lines = der.toString('base64').replaceAll(/.{64}/g, '$&\n');
    return { cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`, key };
  }
}

function pem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** Distinguished encoding (ITU-T X.690): tag, length, value. */
function tlv(tag: number, value: Buffer): Buffer {
  const { length } = value;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), value]);
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tlv(0x30, Buffer.concat(parts));
}

function oid(hex: string): Buffer {
  return tlv(0x06, Buffer.from(hex, 'hex'));
}

/** Encodes a positive integer, whose first bit must be clear. */
function integer(value: Buffer): Buffer {
  return tlv(0x02, value);
}

function extension(id: string, value: Buffer): Buffer {
  return sequence(oid(id), tlv(0x04, value));
}

function distinguishedName(commonName: string): Buffer {
  return sequence(tlv(0x31, sequence(oid(OID.commonName), tlv(0x0c, Buffer.from(commonName)))));
}
