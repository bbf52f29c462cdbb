/**
 * Sets that exist once however many use them, so that two equal sets are one object: the peer selectors that match an identity, the
 * policies that select an endpoint, the scopes of a namespace.
 *
 * They are the nodes of a trie over their members in ascending order of serial number. A new member has the highest serial, so adding it
 * to a set is one step down, and "everything in this set that the new selector matches" becomes another set in constant time.
 */
import { Numbers } from './growing-words.ts';
import { inPieces, type Pieces } from './pieces.ts';

export interface Member {
  /** Never used twice; a later member has a higher one. */
  readonly serial: number;
}

export class InternedSet<T extends Member> {
  /** The set without its last member; undefined for the empty set. */
  readonly parent: InternedSet<T> | undefined;
  readonly last: T | undefined;
  /** By the member that they have more; undefined without any. */
  children: Map<T, InternedSet<T>> | undefined;
  /** Above 0 while the set is in use or waits for `settle`, 0 for the empty set, -1 otherwise. */
  id = -1;
  users = 0;
  /** Whether it was in use when `settle` was last called. */
  settled = false;
  touched = false;

  constructor(parent?: InternedSet<T>, last?: T) {
    this.parent = parent;
    this.last = last;
  }

  has(member: T): boolean {
    let set: InternedSet<T> = this;
    while (set.last !== undefined && set.last.serial > member.serial) set = set.parent as InternedSet<T>;
    return set.last === member;
  }

  /** In ascending order of serial number. */
  members(): T[] {
    const members: T[] = [];
    for (let set: InternedSet<T> = this; set.parent !== undefined; set = set.parent) members.push(set.last as T);
    return members.reverse();
  }
}

export class InternedSets<T extends Member> {
  readonly empty = new InternedSet<T>();
  private readonly ids = new Numbers(1);
  private readonly inUse: (InternedSet<T> | undefined)[] = [this.empty];
  private touched: InternedSet<T>[] = [];

  constructor() {
    this.empty.id = 0;
  }

  /** The set in use that has this id. @throws RangeError where none has */
  withId(id: number): InternedSet<T> {
    const set = this.inUse[id];
    if (set === undefined) throw new RangeError(`no set in use has the id ${id}`);
    return set;
  }

  /** The set with one member more, whose serial is higher than that of any in it. */
  with(set: InternedSet<T>, member: T): InternedSet<T> {
    const known = set.children?.get(member);
    if (known !== undefined) return known;
    const child = new InternedSet(set, member);
    set.children ??= new Map();
    set.children.set(member, child);
    this.touch(child);
    return child;
  }

  /** The set of these members and those of `set`, all of whose serials are lower. Sorts `members`. */
  withAll(set: InternedSet<T>, members: T[]): InternedSet<T> {
    if (members.length > 1) members.sort((a, b) => a.serial - b.serial);
    let grown = set;
    for (const member of members) grown = this.with(grown, member);
    return grown;
  }

  without(set: InternedSet<T>, isGone: (member: T) => boolean): InternedSet<T> {
    let kept = this.empty;
    for (const member of set.members()) {
      if (!isGone(member)) kept = this.with(kept, member);
    }
    return kept;
  }

  use(set: InternedSet<T>): void {
    if (set.users++ > 0 || set === this.empty) return;
    if (set.id < 0) {
      set.id = this.ids.take();
      this.inUse[set.id] = set;
    }
    this.touch(set);
  }

  unuse(set: InternedSet<T>): void {
    if (--set.users === 0 && set !== this.empty) this.touch(set);
  }

  /**
   * Tells what fell out of use since the last call, then what came into use, and forgets the sets that nothing uses. `onLeft` may still
   * read the set's id, which is given to another set afterwards. Until the last piece is done nothing here may be asked or changed.
   */
  *settleInPieces(onLeft: (set: InternedSet<T>) => void, onEntered: (set: InternedSet<T>) => void): Pieces {
    const touched = this.touched;
    this.touched = [];
    yield* inPieces(touched, (set) => {
      set.touched = false;
      if (set.users > 0) return;
      if (set.settled) onLeft(set);
      set.settled = false;
      this.forget(set);
    });
    yield* inPieces(touched, (set) => {
      if (set.users > 0 && !set.settled) onEntered(set);
      set.settled = set.users > 0;
    });
  }

  private touch(set: InternedSet<T>): void {
    if (set.touched) return;
    set.touched = true;
    this.touched.push(set);
  }

  /** Takes the number back, and cuts the unused branch that ends here off the trie. */
  private forget(unused: InternedSet<T>): void {
    if (unused.id > 0) {
      this.inUse[unused.id] = undefined;
      this.ids.giveBack(unused.id);
    }
    unused.id = -1;
    let set = unused;
    while (set.parent !== undefined && set.users === 0 && !set.children?.size) {
      set.parent.children?.delete(set.last as T);
      set = set.parent;
    }
  }
}
