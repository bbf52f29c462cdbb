/// <reference lib="dom" />
/**
 * The grid of the page, and its filters. The page contains this function as text: it may use
 * nothing but its arguments and what every browser has.
 */
import type { PageModel, Tally } from './client-model.ts';
import type { Panel } from './client-panel.ts';

export function startGrid(model: PageModel, makePanelFor: (onClose: () => void) => Panel): void {
  const { data } = model;
  /** With more rows than these the page starts folded, with one row for each namespace. */
  const mostUnfolded = 60;
  const byId = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
  const table = byId<HTMLTableElement>('grid');
  const portSelect = byId<HTMLSelectElement>('port');
  const search = byId<HTMLInputElement>('search');
  const onlyChanges = byId<HTMLInputElement>('changes');
  const status = byId('status');
  const folded = new Set(data.ends.length > mostUnfolded ? data.sections.keys() : []);
  /** One row or column: an end, or all of a folded section. */
  interface Line {
    readonly section: number;
    readonly ends: readonly number[];
    readonly isFolded: boolean;
  }
  let rows: readonly Line[] = [];
  let columns: readonly Line[] = [];
  let current = { row: 0, column: 0 };
  const panel = makePanelFor(() => {
    byId('panel').hidden = true;
    focusCell();
  });

  function escaped(text: string): string {
    return text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
  }

  function lines(ends: readonly number[]): Line[] {
    return [...data.sections.keys()].flatMap((section): Line[] => {
      const own = ends.filter((end) => data.ends[end]?.section === section);
      if (own.length === 0) return [];
      if (folded.has(section)) return [{ section, ends: own, isFolded: true }];
      return own.map((end) => ({ section, ends: [end], isFolded: false }));
    });
  }

  function nameOf({ section, ends, isFolded }: Line): string {
    const { name = '', members = [] } = data.ends[ends[0] ?? 0] ?? {};
    if (isFolded) return data.sections[section] ?? '';
    const short = name.startsWith(`${data.sections[section]}/`) ? name.slice(name.indexOf('/') + 1) : name;
    return members.length > 1 ? `${short} ×${members.length}` : short;
  }

  function render(): void {
    const needle = search.value.trim().toLowerCase();
    const all = [...data.ends.keys()];
    const isChanged = ({ opened, closed }: Tally) => opened + closed > 0;
    const named = all.filter((end) => data.ends[end]?.name.toLowerCase().includes(needle));
    const asked = (end: number) =>
      portSelect.value === '' || data.ends[end]?.ports.some(({ title }) => title === portSelect.value);
    // The name in the search field may be on either side.
    const sources = needle === '' ? all : all.filter((i) => named.includes(i) || named.some((j) => touches(i, j)));
    const destinations = (needle === '' ? all : sources).filter(asked);
    rows = lines(
      onlyChanges.checked
        ? sources.filter((i) => isChanged(model.tally([i], destinations, portSelect.value)))
        : sources,
    );
    columns = lines(
      onlyChanges.checked
        ? destinations.filter((j) => isChanged(model.tally(sources, [j], portSelect.value)))
        : destinations,
    );
    table.innerHTML = `<thead>${head()}</thead><tbody>${rows.map(rowHtml).join('')}</tbody>`;
    table.ariaRowCount = String(rows.length);
    current = { row: clamp(current.row, rows.length), column: clamp(current.column, columns.length) };
    cellAt(current.row, current.column)?.setAttribute('tabindex', '0');
    summarize();
  }

  /** Whether anything is open between two ends, in either direction. */
  function touches(i: number, j: number): boolean {
    const open = ({ allow, mixed, closed }: Tally) => allow + mixed + closed > 0;
    return open(model.tally([i], [j], portSelect.value)) || open(model.tally([j], [i], portSelect.value));
  }

  function head(): string {
    const spans = [...Map.groupBy(columns, ({ section }) => section)];
    const sections = spans.map(([section, { length }]) => {
      // A letter is about a quarter of a column wide.
      const isNarrow = (data.sections[section] ?? '').length > 4 * length - 3;
      return `<th colspan="${length}" class="section${isNarrow ? ' narrow' : ''}">${toggle(section)}</th>`;
    });
    const names = columns.map((line, c) => {
      const name = line.isFolded ? '' : `<span>${escaped(nameOf(line))}</span>`;
      return `<th scope="col" class="name${edge(columns, c)}">${name}</th>`;
    });
    return `<tr><td class="corner">from ↓ &nbsp; to →</td>${sections.join('')}</tr><tr><td class="corner"></td>${names.join('')}</tr>`;
  }

  function toggle(section: number): string {
    const isFolded = folded.has(section);
    const name = escaped(data.sections[section] ?? '');
    const all = data.ends.filter((end) => end.section === section).length;
    const text = isFolded ? `▸ ${name} (${all})` : `▾ ${name}`;
    return `<button data-section="${section}" aria-expanded="${!isFolded}">${text}</button>`;
  }

  /** Returns the class that draws a line before the first entry of each section. */
  function edge(all: readonly Line[], index: number): string {
    return all[index - 1]?.section === all[index]?.section ? '' : ' edge';
  }

  function rowHtml(line: Line, r: number): string {
    const cells = columns.map((column, c) => {
      const look = model.look(model.tally(line.ends, column.ends, portSelect.value));
      return `<td role="gridcell" tabindex="-1" data-row="${r}" data-column="${c}" class="${look}${edge(columns, c)}">${model.characters[look]}</td>`;
    });
    const name = line.isFolded ? toggle(line.section) : escaped(nameOf(line));
    const row = `<tr><th scope="row" class="name${line.isFolded ? ' folded' : ''}">${name}</th>${cells.join('')}</tr>`;
    if (line.isFolded || edge(rows, r) === '') return row;
    return `<tr class="section"><th colspan="${columns.length + 1}">${toggle(line.section)}</th></tr>${row}`;
  }

  function clamp(index: number, length: number): number {
    return Math.max(0, Math.min(index, length - 1));
  }

  function cellAt(row: number, column: number): HTMLElement | null {
    return table.querySelector(`td[data-row="${row}"][data-column="${column}"]`);
  }

  function describe(row: number, column: number): string {
    const [from, to] = [rows[row], columns[column]];
    if (from === undefined || to === undefined) return '';
    const { allow, deny, mixed, opened, closed } = model.tally(from.ends, to.ends, portSelect.value);
    const total = allow + deny + mixed;
    const counts = [`${allow} of ${total} allowed`];
    if (mixed > 0) counts.push(`${mixed} in one address family only`);
    if (opened > 0) counts.push(`${opened} opened`);
    if (closed > 0) counts.push(`${closed} closed`);
    const ends = [from, to].map((line) => (line.isFolded ? nameOf(line) : data.ends[line.ends[0] ?? 0]?.name));
    return `${ends.join(' → ')}: ${total === 0 ? 'nothing to ask' : counts.join(', ')}`;
  }

  function focusCell(): void {
    const cell = cellAt(current.row, current.column);
    cell?.focus();
    cell?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }

  function moveTo(row: number, column: number): void {
    cellAt(current.row, current.column)?.setAttribute('tabindex', '-1');
    current = { row: clamp(row, rows.length), column: clamp(column, columns.length) };
    const cell = cellAt(current.row, current.column);
    cell?.setAttribute('tabindex', '0');
    cell?.setAttribute('aria-label', describe(current.row, current.column));
    focusCell();
  }

  function open(): void {
    const [from, to] = [rows[current.row], columns[current.column]];
    if (from === undefined || to === undefined) return;
    const [i, j] = [from.ends[0] ?? 0, to.ends[0] ?? 0];
    for (const cell of table.querySelectorAll('td.open')) cell.classList.remove('open');
    cellAt(current.row, current.column)?.classList.add('open');
    if (from.isFolded || to.isFolded)
      panel.showGroups(`${nameOf(from)} → ${nameOf(to)}`, from.ends, to.ends, portSelect.value);
    else panel.showPair(i, j, portSelect.value);
  }

  function summarize(): void {
    const all = [...data.ends.keys()];
    const { allow, deny, mixed, opened, closed } = model.tally(all, all, portSelect.value);
    const port = portSelect.value === '' ? '' : ` on ${portSelect.value}`;
    const change = data.isComparison ? `; ${opened} opened, ${closed} closed` : '';
    byId('summary').textContent = `${allow + mixed} of ${allow + deny + mixed} ways${port} are open${change}`;
  }

  function foldAll(fold: boolean): void {
    folded.clear();
    if (fold) for (const section of data.sections.keys()) folded.add(section);
    render();
  }

  const moves: Record<string, (row: number, column: number) => readonly [number, number]> = {
    ArrowUp: (row, column) => [row - 1, column],
    ArrowDown: (row, column) => [row + 1, column],
    ArrowLeft: (row, column) => [row, column - 1],
    ArrowRight: (row, column) => [row, column + 1],
    PageUp: (row, column) => [row - 10, column],
    PageDown: (row, column) => [row + 10, column],
    Home: (row) => [row, 0],
    End: (row) => [row, columns.length - 1],
  };

  function placeOf(event: Event): readonly [row: number, column: number] | undefined {
    const cell = (event.target as Element).closest<HTMLElement>('td[data-row]');
    return cell === null ? undefined : [Number(cell.dataset.row), Number(cell.dataset.column)];
  }

  table.addEventListener('click', (event) => {
    const button = (event.target as Element).closest<HTMLElement>('button[data-section]');
    if (button !== null) {
      const section = Number(button.dataset.section);
      if (!folded.delete(section)) folded.add(section);
      render();
      table.querySelector<HTMLElement>(`tbody button[data-section="${section}"]`)?.focus();
    }
    const place = placeOf(event);
    if (place === undefined) return;
    moveTo(...place);
    open();
  });
  table.addEventListener('keydown', (event) => {
    const place = placeOf(event);
    const move = moves[event.key];
    if (place === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    if (move !== undefined) moveTo(...move(...place));
    else if (event.key === 'Enter' || event.key === ' ') open();
    else return;
    event.preventDefault();
  });
  document.addEventListener('keydown', ({ key }) => {
    if (key !== 'Escape' || byId('panel').hidden) return;
    byId('panel').hidden = true;
    focusCell();
  });
  for (const kind of ['mouseover', 'focusin']) {
    table.addEventListener(kind, (event) => {
      const place = placeOf(event);
      if (place !== undefined) status.textContent = describe(...place);
    });
  }
  for (const control of [portSelect, search, onlyChanges]) control.addEventListener('input', render);
  byId('fold').onclick = () => foldAll(true);
  byId('unfold').onclick = () => foldAll(false);
  for (const [title, count] of model.ports) portSelect.add(new Option(`${title}  (${count})`, title));
  render();
}
