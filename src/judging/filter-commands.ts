/** Commands that concern only a thread's filter, whoever hands it packets. */
import type { Filter } from '../filter/filter.ts';
import { Packet } from '../packet/packet.ts';
import { RuleTable } from '../policy/rule-table.ts';
import { type Command, SEED_WORDS } from './protocol.ts';

const seeded = new Packet();

/**
 * Carries out a command that concerns the filter; ignores others.
 * @param now the coarse clock
 * @param onSeeded called for each seeded flow with the packet that opens it, which is reused
 */
export function commandFilter(
  filter: Filter,
  command: Command,
  now: number,
  onSeeded: (flow: Packet) => void = () => undefined,
): void {
  switch (command.type) {
    case 'table':
      filter.useTable(new RuleTable(command.table));
      break;
    case 'seed':
      seed(filter, command.flows, now, onSeeded);
      break;
    case 'adopt-mid-stream':
      filter.adoption.adoptMidStream((now + command.milliseconds) | 0);
      break;
    case 'adopt-while-growing':
      filter.adoption.adoptWhileGrowing(command.what, (now + command.milliseconds) | 0);
      break;
  }
}

function seed(filter: Filter, flows: Int32Array, now: number, onSeeded: (flow: Packet) => void): void {
  for (let at = 0; at + SEED_WORDS <= flows.length; at += SEED_WORDS) {
    const word = (index: number) => flows[at + index] ?? 0;
    seeded.family = word(0) === 6 ? 6 : 4;
    seeded.protocol = word(1);
    seeded.src0 = word(2);
    seeded.src1 = word(3);
    seeded.src2 = word(4);
    seeded.src3 = word(5);
    seeded.dst0 = word(6);
    seeded.dst1 = word(7);
    seeded.dst2 = word(8);
    seeded.dst3 = word(9);
    seeded.srcPort = word(10);
    seeded.dstPort = word(11);
    seeded.icmpType = word(12);
    filter.seed(seeded, word(13) === 1 ? 'revoked' : 'established', now);
    onSeeded(seeded);
  }
}
