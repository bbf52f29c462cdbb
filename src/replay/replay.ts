/** Judges a recorded capture as if every packet arrived now; the capture's times are the clock. */
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

/** Flows tracked at once: 64 bytes each, and as many again for flows that no policy concerns. */
const FLOWS = 1 << 19;
/** Most flows removed per expiry, which runs once per second of capture time. */
const EXPIRE = 10_000;

export interface ReplayOptions {
  readonly table: RuleTable;
  readonly places: PlacesInit;
  /**
   * Reports an opened flow or a denied packet; `time` is the last known packet time so far, in ms
   * since 1970.
   */
  readonly tell: (
    packet: Packet,
    reason: number,
    direction: number,
    audited: boolean,
    reversed: boolean,
    time: number,
  ) => void;
  /** Receives the denied packets. */
  readonly denied?: TakePacket;
}

/** Counts of a capture's packets. */
export interface ReplayCounts {
  readonly packets: number;
  /** By index into REASONS. */
  readonly byReason: readonly number[];
  readonly denied: number;
  /** Denied only by audited policies; included in `byReason`. */
  readonly wouldBeDenied: number;
  /** Not IP. */
  readonly notIp: number;
  /** From or to a Service's address. */
  readonly services: number;
  /** Fragments whose first fragment did not come before them. */
  readonly fragments: number;
  /** By number: packets of link types that podfence does not understand. */
  readonly unknownLinks: ReadonlyMap<number, number>;
  /** Earliest and latest known packet time, in ms since 1970. */
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
  /** First and last in the capture's order, which may not be the order of time. */
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

  /**
   * Judges a file, until `isOver` returns true; several files can follow one another. @throws
   * CaptureFileError if it is not a capture
   */
  read(path: string, isOver?: () => boolean): Promise<CaptureEnd> {
    return readCapture(path, this.take, isOver);
  }

  readonly take: TakePacket = (view, offset, captured, length, time, linkType, littleEndian) => {
    this.#packets++;
    if (!LINK_TYPES.has(linkType)) {
      this.#unknownLinks.set(linkType, (this.#unknownLinks.get(linkType) ?? 0) + 1);
      return;
    }
    // NaN if the time is not known.
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
