/**
 * Sets that exist once however many use them, so that two equal sets are one object: the peer
 * selectors that match an identity, the policies that select an endpoint, the scopes of a
 * namespace.
 *
 * The sets are nodes of a trie over their members in ascending order of serial number. A new member
 * has the highest serial, so adding it to a set is one step down the trie: every set with pods that
 * a new selector matches becomes another set in constant time.
 */
import { Numbers } from './growing-words.ts';
import { inPieces, type Pieces } from './pieces.ts';

export interface Member {
  /** Never reused; a later member has a higher one. */
  readonly serial: number;
}

export class InternedSet<T extends Member> {
  /** The set without its last member; undefined for the empty set. */
  readonly parent: InternedSet<T> | undefined;
  readonly last: T | undefined;
  /**
   * The sets with one more member: the only one, or several by that member. Most have one at most,
   * so a Map for each would be most of the memory.
   */
  private children: InternedSet<T> | Map<T, InternedSet<T>> | undefined;
  /**
   * Above 0 while the set is in use or waits for `settleInPieces`, 0 for the empty set, otherwise
   * -1.
   */
  id = -1;
  users = 0;
  /** Whether it was in use at the last `settleInPieces`. */
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

  get hasChildren(): boolean {
    return this.children !== undefined;
  }

  childWith(member: T): InternedSet<T> | undefined {
    const { children } = this;
    if (children instanceof InternedSet) return children.last === member ? children : undefined;
    return children?.get(member);
  }

  /** Adds the set with one more member, which must not be there yet. */
  addChild(member: T): InternedSet<T> {
    const child = new InternedSet(this, member);
    const { children } = this;
    if (children === undefined) this.children = child;
    else if (!(children instanceof InternedSet)) children.set(member, child);
    else this.children = new Map([children, child].map((each) => [each.last as T, each]));
    return child;
  }

  removeChild(child: InternedSet<T>): void {
    const { children } = this;
    if (children === child) this.children = undefined;
    else if (children instanceof Map && children.delete(child.last as T) && children.size === 0)
      this.children = undefined;
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

  /** Returns the set in use that has this id. Throws RangeError if there is none. */
  withId(id: number): InternedSet<T> {
    const set = this.inUse[id];
    if (set === undefined) throw new RangeError(`no set in use has the id ${id}`);
    return set;
  }

  /** Returns the set with one more member, whose serial must be higher than all in it. */
  with(set: InternedSet<T>, member: T): InternedSet<T> {
    const known = set.childWith(member);
    if (known !== undefined) return known;
    const child = set.addChild(member);
    this.touch(child);
    return child;
  }

  /**
   * Returns the set with these members added, whose serials must be higher than all in it. Sorts
   * `members`.
   */
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
   * Reports the sets that fell out of use since the last call, then those that came into use, and
   * removes the unused ones. `onLeft` may still read a set's id, which is reused afterwards. Until
   * the last piece is done, nothing here may be read or changed.
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

  /** Frees the id, and cuts the unused branch that ends here off the trie. */
  private forget(unused: InternedSet<T>): void {
    if (unused.id > 0) {
      this.inUse[unused.id] = undefined;
      this.ids.giveBack(unused.id);
    }
    unused.id = -1;
    let set = unused;
    while (set.parent !== undefined && set.users === 0 && !set.hasChildren) {
      set.parent.removeChild(set);
      set = set.parent;
    }
  }
}
