/// <reference lib="dom" />
/**
 * The explanation beside the grid. The page contains this function as text: it may use nothing but
 * its arguments and what every browser has.
 */
import type { Explanation, NearMiss, PolicyPlace, RulePlace, Side } from '../../explain/explanation.ts';
import type { PageModel } from './client-model.ts';

export type Panel = ReturnType<typeof makePanel>;

export function makePanel(model: PageModel, element: HTMLElement, onClose: () => void) {
  const { data } = model;
  const mostListed = 300;

  function make(tag: string, className: string, ...children: readonly (Node | string | undefined)[]): HTMLElement {
    const made = document.createElement(tag);
    if (className !== '') made.className = className;
    made.append(...children.filter((child) => child !== undefined));
    return made;
  }

  function show(title: string, ...children: readonly (Node | undefined)[]): void {
    const close = make('button', 'close', '×') as HTMLButtonElement;
    close.ariaLabel = 'close the explanation';
    close.onclick = onClose;
    element.replaceChildren(close, make('h2', '', title), ...children.filter((child) => child !== undefined));
    element.hidden = false;
    element.scrollTop = 0;
  }

  /**
   * Shows the ports between two ends. Of several, the one that the grid is filtered by is unfolded.
   */
  function showPair(from: number, to: number, port: string): void {
    const [source, destination] = [data.ends[from], data.ends[to]];
    if (source === undefined || destination === undefined) return;
    const asked = [...destination.ports.keys()].filter((k) => model.state(from, to, k) !== undefined);
    const sections = asked.map((k) => {
      const section = portSection(from, to, k);
      section.open = asked.length === 1 || destination.ports[k]?.title === port;
      return section;
    });
    if (sections.every(({ open }) => !open) && sections[0] !== undefined) sections[0].open = true;
    show(`${source.name} → ${destination.name}`, membersOf(from), from === to ? undefined : membersOf(to), ...sections);
  }

  function membersOf(index: number): HTMLElement | undefined {
    const { name = '', members = [] } = data.ends[index] ?? {};
    if (members.length < 2)
      return members[0] === name ? undefined : make('p', 'members', `${name}: tried with ${members[0]}`);
    const list = make('ul', '', ...members.map((member) => make('li', '', member)));
    return make('details', 'members', make('summary', '', `${name}: the same holds for ${members.length}`), list);
  }

  function portSection(from: number, to: number, k: number): HTMLDetailsElement {
    const { title = '', argument = '', services = [] } = data.ends[to]?.ports[k] ?? {};
    const { verdict = 'deny', change } = model.state(from, to, k) ?? {};
    const words = {
      allow: 'allowed',
      deny: 'denied',
      would_deny: 'allowed, because what denies it is only audited',
      mixed: 'allowed in one address family only',
    };
    const look = change ?? (verdict === 'mixed' ? 'part' : verdict);
    const summary = make(
      'summary',
      '',
      make('span', `mark ${look}`, model.characters[look]),
      make('b', '', title),
      ` ${words[verdict]}`,
      change === undefined ? undefined : make('span', `chip ${change}`, change),
      services.length > 0 ? make('span', 'services', `by Service ${services.join(', ')}`) : undefined,
    );
    const [now, before] = model.explanations(from, to, k);
    const section = make('details', 'port', summary) as HTMLDetailsElement;
    if (now === undefined) section.append(commandFor(from, to, argument));
    else section.append(...explained(now));
    if (before !== undefined) {
      section.append(
        make(
          'details',
          'before',
          make('summary', '', `before the change: ${words[before.verdict]}`),
          ...explained(before),
        ),
      );
    }
    return section;
  }

  /** The command to run instead: explanations of every cell would make the page too large. */
  function commandFor(from: number, to: number, port: string): HTMLElement {
    const source = data.ends[from]?.members[0];
    const destination = data.ends[to]?.members[from === to ? 1 : 0];
    const command = `podfence explain --from ${source} --to ${destination} --port ${port}`;
    return make('p', '', 'This page leaves this explanation out. Get it with ', make('code', '', command));
  }

  function explained({ from, to, sides, notes, suggestion }: Explanation): HTMLElement[] {
    const nameOf = (end: Explanation['from']) => (end.kind === 'pod' ? `${end.namespace}/${end.name}` : end.address);
    return [
      sideBlock(`${nameOf(from)} sends`, sides.egress),
      sideBlock(`${nameOf(to)} receives`, sides.ingress),
      ...notes.map((note) => make('p', 'note', note)),
      ...(suggestion === undefined
        ? []
        : [
            make('h4', '', 'This would allow it'),
            make('pre', '', suggestion.yaml),
            ...suggestion.notes.map((note) => make('p', 'note', note)),
          ]),
    ];
  }

  function sideBlock(title: string, side: Side): HTMLElement {
    const look = side.verdict === 'deny' ? 'deny' : 'allow';
    return make(
      'section',
      `side ${look}`,
      make(
        'h3',
        '',
        make('span', `mark ${look}`, model.characters[look]),
        `${title}: ${{ allow: 'allowed', deny: 'denied', would_deny: 'would be denied' }[side.verdict]}`,
      ),
      make('p', '', `${side.summary}${side.node === undefined ? '' : `, enforced on node ${side.node}`}.`),
      placeList('allowed by', side.allowedBy, placeText),
      side.verdict !== 'allow'
        ? placeList(side.audited ? 'audited by' : 'isolated by', side.isolatedBy, placeText)
        : undefined,
      placeList(
        'nearest to allowing it',
        side.nearMisses,
        ({ sentence, ...place }: NearMiss) => sentence + fileText(place),
      ),
    );
  }

  function placeList<T>(title: string, places: readonly T[], textOf: (place: T) => string): HTMLElement | undefined {
    if (places.length === 0) return undefined;
    const list = make('ul', '', ...places.map((place) => make('li', '', textOf(place))));
    return make('div', 'places', make('h4', '', title), list);
  }

  function placeText(place: PolicyPlace | RulePlace): string {
    return `policy ${place.policy}${'rule' in place ? ` rule ${place.rule}` : ''}${fileText(place)}`;
  }

  function fileText({ file, line }: Pick<PolicyPlace, 'file' | 'line'>): string {
    return file === undefined ? '' : ` (${file}${line === undefined ? '' : `:${line}`})`;
  }

  /**
   * Shows a button for each pair between two groups of ends: changes first, then what is allowed.
   */
  function showGroups(title: string, from: readonly number[], to: readonly number[], port: string): void {
    const order = ['opened', 'changed', 'closed', 'allow', 'part', 'deny'];
    const pairs = from.flatMap((i) =>
      to.flatMap((j) => {
        const look = model.look(model.tally([i], [j], port));
        return look === 'none' ? [] : [{ i, j, look }];
      }),
    );
    pairs.sort((a, b) => order.indexOf(a.look) - order.indexOf(b.look));
    const items = pairs.slice(0, mostListed).map(({ i, j, look }) => {
      const text = ` ${data.ends[i]?.name} → ${data.ends[j]?.name}`;
      const button = make('button', 'pair', make('span', `mark ${look}`, model.characters[look]), text);
      button.onclick = () => showPair(i, j, port);
      return make('li', '', button);
    });
    const rest = pairs.length - items.length;
    show(
      title,
      make('ul', 'pairs', ...items),
      rest > 0 ? make('p', '', `and ${rest} more: unfold the namespaces`) : undefined,
    );
  }

  return { showPair, showGroups };
}
