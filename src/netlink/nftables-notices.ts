/**
 * The kernel's notices of changes to nftables rules, including those of iptables' nf_tables
 * variant, whoever makes them: one message for each table, chain, rule, set and element added or
 * removed, sent once the change is in force (nf_tables_commit in the kernel's
 * net/netfilter/nf_tables_api.c). Legacy iptables and ipset send none.
 *
 * Most notices concern other tables; when kube-proxy rewrites its rules there are thousands at a
 * time. A socket filter in the kernel drops those before they are queued, so that they neither wake
 * this process nor fill its buffer. It compares the first four letters of names and passes too much
 * rather than too little; this process then compares whole names.
 */
import { SystemCallError } from '../sys/libc.ts';
import { onReadable } from '../sys/readable.ts';
import {
  attachFilter,
  EVERYTHING,
  type FilterProgram,
  type Instruction,
  JUMP_EQUAL,
  program,
  RETURN,
} from '../sys/socket-filter.ts';
import {
  NFNLGRP_NFTABLES,
  NFT_MSG_DELCHAIN,
  NFT_MSG_DELRULE,
  NFT_MSG_DELSET,
  NFT_MSG_DELSETELEM,
  NFT_MSG_NEWCHAIN,
  NFT_MSG_NEWRULE,
  NFT_MSG_NEWSET,
  NFT_MSG_NEWSETELEM,
  NFTA_CHAIN_NAME,
  NFTA_RULE_CHAIN,
  NFTA_SET_NAME,
  NFTA_TABLE_NAME,
  NLA_TYPE_MASK,
} from './constants.ts';
import { align4, NFGENMSG_LEN, NLA_HDRLEN, NLMSG_HDRLEN } from './message.ts';
import { NetlinkSocket } from './socket.ts';

/** Which notices are wanted. */
export interface TableFilter {
  readonly table: string;
  /** For notices of rules: only chains whose names start with one of these. @default all chains */
  readonly chains?: readonly string[];
}

export interface TableNotice {
  /** NFT_MSG_NEWRULE, … */
  readonly type: number;
  /** NFPROTO_INET, … */
  readonly family: number;
  /** Netlink port of the socket that requested the change: usually its process id. */
  readonly port: number;
  readonly table: string;
  /** The chain or set that changed, or that contains what changed; '' for a table. */
  readonly name: string;
  /**
   * Returns the whole message, one character per byte; a rule's contains the name of the chain that
   * it jumps to. Valid only during the callback.
   */
  readonly text: () => string;
}

/** Bytes. Little passes the filter, but a whole table may be removed at once. */
const RECEIVE_BUFFER = 1 << 20;

export class NftablesNotices implements Disposable {
  readonly #socket: NetlinkSocket;
  readonly #readable: Disposable;
  readonly #wanted: readonly TableFilter[];
  readonly #onNotice: (notice: TableNotice) => void;
  readonly #onLost: () => void;

  /**
   * Starts at once, in the calling thread's network namespace. Throws SystemCallError.
   * @param onLost called when the kernel dropped notices because too many came
   */
  constructor(wanted: readonly TableFilter[], onNotice: (notice: TableNotice) => void, onLost: () => void) {
    this.#wanted = wanted;
    this.#onNotice = onNotice;
    this.#onLost = onLost;
    this.#socket = new NetlinkSocket(RECEIVE_BUFFER);
    try {
      attachNoticeFilter(this.#socket.fd, wanted);
      this.#socket.join(NFNLGRP_NFTABLES);
      this.#readable = onReadable(this.#socket.fd, () => this.take());
    } catch (error) {
      this.#socket.close();
      throw error;
    }
  }

  /**
   * Takes the notices that have arrived. The kernel sends them before it answers the request for
   * the change.
   */
  take(): void {
    const outcome = this.#socket.takeWaiting((view, type, start, end) => {
      const notice = readNotice(view, type & 0xff, start, end);
      if (notice !== undefined && this.#wanted.some((filter) => isWanted(notice, filter))) this.#onNotice(notice);
    });
    if (outcome === 'lost') this.#onLost();
  }

  [Symbol.dispose](): void {
    this.#readable[Symbol.dispose]();
    this.#socket.close();
  }
}

/**
 * Attaches the longest filter that the kernel has memory for (net.core.optmem_max; 20 KiB before
 * Linux 6.8). With a shorter one, or none, this process has to read more unwanted notices.
 */
function attachNoticeFilter(fd: number, wanted: readonly TableFilter[]): void {
  for (let messages = mostMessages(wanted); messages >= 1; messages = Math.floor(messages / 2)) {
    try {
      attachFilter(fd, noticeFilter(wanted, messages));
      return;
    } catch (error) {
      if (!(error instanceof SystemCallError) || error.code !== 'ENOMEM') throw error;
    }
  }
}

/** By message type, the attribute with the name of the chain or set that the message is about. */
const NAMES: Readonly<Record<number, number>> = {
  [NFT_MSG_NEWCHAIN]: NFTA_CHAIN_NAME,
  [NFT_MSG_DELCHAIN]: NFTA_CHAIN_NAME,
  [NFT_MSG_NEWRULE]: NFTA_RULE_CHAIN,
  [NFT_MSG_DELRULE]: NFTA_RULE_CHAIN,
  [NFT_MSG_NEWSET]: NFTA_SET_NAME,
  [NFT_MSG_DELSET]: NFTA_SET_NAME,
  [NFT_MSG_NEWSETELEM]: NFTA_SET_NAME,
  [NFT_MSG_DELSETELEM]: NFTA_SET_NAME,
};

/** Returns undefined if the message names no table. */
function readNotice(view: DataView, type: number, start: number, end: number): TableNotice | undefined {
  let table = '';
  let name = '';
  for (let at = start + NLMSG_HDRLEN + NFGENMSG_LEN; at + NLA_HDRLEN <= end; ) {
    const length = view.getUint16(at, true);
    if (length < NLA_HDRLEN || at + length > end) break;
    const attribute = view.getUint16(at + 2, true) & NLA_TYPE_MASK;
    if (attribute === NFTA_TABLE_NAME) table = textOf(view, at + NLA_HDRLEN, at + length);
    else if (attribute === NAMES[type]) name = textOf(view, at + NLA_HDRLEN, at + length);
    at += align4(length);
  }
  if (table === '') return undefined;
  const text = () => Buffer.from(view.buffer, view.byteOffset + start, end - start).toString('latin1');
  return {
    type,
    family: view.getUint8(start + NLMSG_HDRLEN),
    port: view.getUint32(start + 12, true),
    table,
    name,
    text,
  };
}

/** Reads a zero-terminated string. */
function textOf(view: DataView, start: number, end: number): string {
  return Buffer.from(view.buffer, view.byteOffset + start, end - start - 1).toString('latin1');
}

function isWanted({ type, table, name }: TableNotice, wanted: TableFilter): boolean {
  if (table !== wanted.table) return false;
  const isRule = type === NFT_MSG_NEWRULE || type === NFT_MSG_DELRULE;
  return !isRule || wanted.chains === undefined || wanted.chains.some((chain) => name.startsWith(chain));
}

const LOAD_WORD_AT_X = 0x40;
const LOAD_BYTE_AT_X = 0x50;
const LOAD_IMMEDIATE = 0x00;
const LOAD_X_FROM_MEMORY = 0x61;
const STORE = 0x02;
const ADD = 0x04;
const ADD_X = 0x0c;
const AND = 0x54;
const SHIFT_LEFT = 0x64;
const COPY_TO_X = 0x07;

/** The longest program that the kernel takes (BPF_MAXINSNS in linux/bpf_common.h). */
const MOST_INSTRUCTIONS = 4096;

/**
 * Passes a packet of messages if one of them is wanted. Classic BPF has no loops, so the same
 * instructions repeat for each message, with X at its start. A load behind the end of the packet
 * ends the program and drops the packet. The kernel packs messages of 44 bytes and more into
 * packets of up to a page (NLMSG_GOODSIZE). If a packet has more messages than the program has room
 * for, it passes.
 */
export function noticeFilter(wanted: readonly TableFilter[], messages = mostMessages(wanted)): FilterProgram {
  const end: Instruction = [RETURN, 0, 0, EVERYTHING];
  const message = [...wanted.flatMap(testTable), ...NEXT_MESSAGE];
  return program([...BEGIN, ...Array.from({ length: messages }, () => message).flat(), end]);
}

/** Returns how many messages the longest program has room for. */
function mostMessages(wanted: readonly TableFilter[]): number {
  const message = wanted.flatMap(testTable).length + NEXT_MESSAGE.length;
  return Math.floor((MOST_INSTRUCTIONS - BEGIN.length - 1) / message);
}

/** Sets X to the start of the first message. */
const BEGIN: readonly Instruction[] = [
  [LOAD_IMMEDIATE, 0, 0, 0],
  [COPY_TO_X, 0, 0, 0],
];

/**
 * Adds the message's length, aligned to 4, to X. The length is in host byte order, and its upper
 * half is zero.
 */
const NEXT_MESSAGE: readonly Instruction[] = [
  [LOAD_BYTE_AT_X, 0, 0, 1],
  [SHIFT_LEFT, 0, 0, 8],
  [STORE, 0, 0, 0],
  [LOAD_BYTE_AT_X, 0, 0, 0],
  [ADD_X, 0, 0, 0],
  [LOAD_X_FROM_MEMORY, 0, 0, 0],
  [ADD_X, 0, 0, 0],
  [ADD, 0, 0, 3],
  [AND, 0, 0, 0xfffffffc],
  [COPY_TO_X, 0, 0, 0],
];

/** Passes the packet if the message at X is wanted; otherwise goes on after these instructions. */
function testTable({ table, chains = [] }: TableFilter): Instruction[] {
  const name = NLMSG_HDRLEN + NFGENMSG_LEN + NLA_HDRLEN;
  // A rule's second attribute is its chain's name (nf_tables_fill_rule_info).
  const chain = name + align4(table.length + 1) + NLA_HDRLEN;
  const accept: Instruction = [RETURN, 0, 0, EVERYTHING];
  const ofRules: Instruction[] = [
    [LOAD_BYTE_AT_X, 0, 0, 4],
    [JUMP_EQUAL, 2, 0, NFT_MSG_NEWRULE],
    [JUMP_EQUAL, 1, 0, NFT_MSG_DELRULE],
    accept,
    [LOAD_WORD_AT_X, 0, 0, chain],
    ...chains.flatMap((prefix): Instruction[] => [[JUMP_EQUAL, 0, 1, firstLetters(prefix)], accept]),
  ];
  const found = chains.length === 0 ? [accept] : ofRules;
  return [[LOAD_WORD_AT_X, 0, 0, name], [JUMP_EQUAL, 0, found.length, firstLetters(table)], ...found];
}

function firstLetters(name: string): number {
  return Buffer.from(name).readUInt32BE(0);
}
