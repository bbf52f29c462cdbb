/**
 * The protocol of prober and listener: one line each way; in SCTP, the initiate tag one way and a
 * cookie the other.
 */

const REQUEST = /^probe (\d+)\n/;
const ANSWER = /^(\S+) saw (\S+) (\d+)\n/;

export function requestText(id: number): string {
  return `probe ${id}\n`;
}

/** Returns the attempt that a request belongs to; undefined for other data. */
export function parseRequest(text: string): number | undefined {
  const match = REQUEST.exec(text);
  return match ? Number(match[1]) : undefined;
}

/** SCTP initiate tags may not be 0. */
const TAG_BASE = 0x5000_0000;

export function initiateTag(id: number): number {
  return (TAG_BASE + id) >>> 0;
}

export function parseInitiateTag(tag: number): number {
  return (tag - TAG_BASE) >>> 0;
}

export interface Answer {
  readonly speaker: string;
  /** The peer's address as the listener saw it, after all address translation. */
  readonly peer: string;
  readonly peerPort: number;
}

export function answerText({ speaker, peer, peerPort }: Answer): string {
  return `${speaker} saw ${peer} ${peerPort}\n`;
}

export function parseAnswer(text: string): Answer | undefined {
  const match = ANSWER.exec(text);
  return match ? { speaker: match[1] ?? '', peer: match[2] ?? '', peerPort: Number(match[3]) } : undefined;
}

/** Wraps the answer for HTTP clients, so `curl` works by hand. */
export function httpAnswer(answer: string): string {
  return `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${answer.length}\r\nConnection: close\r\n\r\n${answer}`;
}

export function isHttp(text: string): boolean {
  return /^[A-Z]+ \S+ HTTP\/1/.test(text);
}
