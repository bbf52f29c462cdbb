/** A recorded capture judged as if every packet came now, by its own clock. */
import { FlowTable } from '../conntrack/flow-table.ts';
import { Filter } from '../filter/filter.ts';
import { FIRST_DENY, REASONS } from '../filter/reasons.ts';
import { EARLY_FRAGMENT, FrameJudge, NOT_IP, SERVICE } from '../frames/frame-judge.ts';
import { LINK_TYPES } from '../frames/link-frame.ts';
import { Places, type PlacesInit } from '../frames/places.ts';
import type { Packet } from '../packet/packet.ts';
import type { RuleTable } from '../policy/rule-table.ts';
import { type CaptureEnd, readCapture } from './capture-file.ts';
import type { TakePacket } from './capture-format.ts';

/** Flows that are tracked at once: 64 bytes each, and as much for those that no policy is about. */
const FLOWS = 1 << 19;
/** Flows that expire in an idle second, at most. */
const EXPIRE = 10_000;

export interface ReplayOptions {
  readonly table: RuleTable;
  readonly places: PlacesInit;
  /** A flow was opened, or a packet denied; `time` in ms since 1970, of the packets so far the last that is known. */
  readonly tell: (
    packet: Packet,
    reason: number,
    direction: number,
    audited: boolean,
    reversed: boolean,
    time: number,
  ) => void;
  /** Takes the denied packets. */
  readonly denied?: TakePacket;
}

/** What was in a capture, in packets. */
export interface ReplayCounts {
  readonly packets: number;
  /** By index into REASONS. */
  readonly byReason: readonly number[];
  readonly denied: number;
  /** Audited policies alone deny them; in `byReason` too. */
  readonly wouldBeDenied: number;
  /** Not of IP. */
  readonly notIp: number;
  /** From or to a Service's address. */
  readonly services: number;
  /** Fragments whose first one was not there before. */
  readonly fragments: number;
  /** Of link types that are not understood, by number. */
  readonly unknownLinks: ReadonlyMap<number, number>;
  /** Of the packets whose time is known, in ms since 1970. */
  readonly first: number | undefined;
  readonly last: number | undefined;
}

export class Replay {
  readonly #options: ReplayOptions;
  readonly #judge: FrameJudge;
  readonly #byReason = new Float64Array(REASONS.length);
  readonly #unknownLinks = new Map<number, number>();
  #packets = 0;
  #wouldBeDenied = 0;
  #notIp = 0;
  #services = 0;
  #fragments = 0;
  /** In the order of the capture, which need not be that of time. */
  #first: number | undefined;
  #last = 0;
  #earliest = Number.POSITIVE_INFINITY;
  #latest = Number.NEGATIVE_INFINITY;
  #expiredAt = 0;

  constructor(options: ReplayOptions) {
    this.#options = options;
    const filter = new Filter(new FlowTable(FLOWS), options.table);
    this.#judge = new FrameJudge(filter, new Places(options.places), {
      observes: true,
      flowCapacity: FLOWS,
      tell: (packet, reason, direction, audited, reversed) =>
        options.tell(packet, reason, direction, audited, reversed, this.#last),
    });
  }

  /** Judges a file, until `isOver` says so; several can follow one another. @throws CaptureFileError where it is no capture */
  read(path: string, isOver?: () => boolean): Promise<CaptureEnd> {
    return readCapture(path, this.take, isOver);
  }

  readonly take: TakePacket = (view, offset, captured, length, time, linkType, littleEndian) => {
    this.#packets++;
    if (!LINK_TYPES.has(linkType)) {
      this.#unknownLinks.set(linkType, (this.#unknownLinks.get(linkType) ?? 0) + 1);
      return;
    }
    // NaN where it is not known.
    if (!Number.isNaN(time)) {
      this.#first ??= time;
      this.#last = time;
      this.#earliest = Math.min(this.#earliest, time);
      this.#latest = Math.max(this.#latest, time);
    }
    const now = (this.#last - (this.#first ?? 0)) | 0;
    const reason = this.#judge.judge(view, offset, captured, length, linkType, littleEndian, now);
    if (reason >= 0) {
      this.#byReason[reason] = (this.#byReason[reason] as number) + 1;
      if (this.#judge.isAudited) this.#wouldBeDenied++;
      else if (reason >= FIRST_DENY) {
        this.#options.denied?.(view, offset, captured, length, time, linkType, littleEndian);
      }
    } else if (reason === NOT_IP) this.#notIp++;
    else if (reason === SERVICE) this.#services++;
    else if (reason === EARLY_FRAGMENT) this.#fragments++;
    if (((now - this.#expiredAt) | 0) < 1000) return;
    this.#expiredAt = now;
    this.#judge.expire(now, EXPIRE);
  };

  counts(): ReplayCounts {
    const byReason = [...this.#byReason];
    return {
      packets: this.#packets,
      byReason,
      denied: byReason.slice(FIRST_DENY).reduce((sum, each) => sum + each, 0) - this.#wouldBeDenied,
      wouldBeDenied: this.#wouldBeDenied,
      notIp: this.#notIp,
      services: this.#services,
      fragments: this.#fragments,
      unknownLinks: this.#unknownLinks,
      first: this.#first === undefined ? undefined : this.#earliest,
      last: this.#first === undefined ? undefined : this.#latest,
    };
  }
}
