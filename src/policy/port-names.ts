/**
 * Named container ports. A policy can name a port, and each destination pod has its own number for
 * the name. So a port set contains the name, and the packet path looks the packet's port up among
 * the destination's named ports.
 */
import type { ContainerPort, Protocol } from '../cluster/records.ts';
import { Numbers } from './growing-words.ts';

/** A protocol's index in a port set and in the second word of a named port; see table-layout.ts. */
export const PROTOCOL_PLACE: Readonly<Record<Protocol, number>> = { TCP: 0, UDP: 1, SCTP: 2 };

interface Interned {
  readonly number: number;
  users: number;
}

/** The named ports of a pod, interned: a hundred thousand pods have a few dozen different ones. */
export interface PortProfile extends Interned {
  readonly key: string;
  readonly ports: readonly ContainerPort[];
}

export class PortNames {
  private readonly names = new Map<string, Interned>();
  private readonly nameNumbers = new Numbers(0);
  private readonly profiles = new Map<string, PortProfile>();
  /** 0 is the profile without named ports. */
  private readonly profileNumbers = new Numbers(1);
  private section: Int32Array | undefined;
  /** Grows with every change. */
  version = 0;

  /** Returns a text that is equal for equal named ports in any order; empty if there are none. */
  static profileKey(ports: readonly ContainerPort[]): string {
    const keys = new Set<string>();
    for (const { name, protocol, port } of ports) {
      if (name !== undefined && name !== '') keys.add(`${protocol}/${name}=${port}`);
    }
    return keys.size > 1 ? [...keys].sort().join(' ') : (keys.values().next().value ?? '');
  }

  /**
   * Returns the number of a name within its protocol, valid until released as often as retained.
   */
  retainName(protocol: Protocol, name: string): number {
    const key = `${protocol}/${name}`;
    const known = this.names.get(key) ?? { number: this.nameNumbers.take(), users: 0 };
    this.names.set(key, known);
    known.users++;
    return known.number;
  }

  releaseName(protocol: Protocol, name: string): void {
    const key = `${protocol}/${name}`;
    const known = this.names.get(key);
    if (known === undefined || --known.users > 0) return;
    this.names.delete(key);
    this.nameNumbers.giveBack(known.number);
  }

  /**
   * Returns the number of the profile with this key; `profileKey` must have returned it for these
   * ports.
   */
  retainProfile(key: string, ports: readonly ContainerPort[]): number {
    if (key === '') return 0;
    let profile = this.profiles.get(key);
    if (profile === undefined) {
      profile = { key, ports: ports.filter(({ name }) => name), number: this.profileNumbers.take(), users: 0 };
      for (const port of profile.ports) this.retainName(port.protocol, port.name as string);
      this.profiles.set(key, profile);
      this.section = undefined;
      this.version++;
    }
    profile.users++;
    return profile.number;
  }

  releaseProfile(key: string): void {
    const profile = this.profiles.get(key);
    if (profile === undefined || --profile.users > 0) return;
    for (const port of profile.ports) this.releaseName(port.protocol, port.name as string);
    this.profiles.delete(key);
    this.profileNumbers.giveBack(profile.number);
    this.section = undefined;
    this.version++;
  }

  /** Returns the named ports of a profile in use; [] for the profile without any. */
  portsOf(key: string): readonly ContainerPort[] {
    return this.profiles.get(key)?.ports ?? [];
  }

  /** The section `namedPorts` of a RuleTable. */
  words(): Int32Array {
    this.section ??= this.encode();
    return this.section;
  }

  private encode(): Int32Array {
    const byNumber: PortProfile[] = [];
    for (const profile of this.profiles.values()) byNumber[profile.number] = profile;
    const count = Math.max(1, byNumber.length);
    const starts: number[] = [];
    const pairs: number[] = [];
    for (let number = 0; number < count; number++) {
      starts.push(count + 1 + pairs.length);
      for (const { protocol, name, port } of byNumber[number]?.ports ?? []) {
        const known = this.names.get(`${protocol}/${name}`) as Interned;
        pairs.push(known.number, (port << 2) | PROTOCOL_PLACE[protocol]);
      }
    }
    starts.push(count + 1 + pairs.length);
    return Int32Array.from([...starts, ...pairs]);
  }
}
