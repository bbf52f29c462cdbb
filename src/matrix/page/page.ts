/** The page of a matrix: one file that works offline and loads nothing. */
import type { Reachability } from '../reachability.ts';
import { startGrid } from './client-grid.ts';
import { readModel } from './client-model.ts';
import { makePanel } from './client-panel.ts';
import { type PageOptions, pageData } from './data.ts';
import { STYLE } from './style.ts';

/** The browser may load nothing at all, so nothing about the cluster can leave the page. */
const SECURITY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/** Returns the whole HTML file. */
export async function renderPage(matrix: Reachability, options: PageOptions): Promise<string> {
  const data = pageData(matrix, options);
  const marks = [
    mark('allow', '●', 'allowed'),
    mark('part', '◐', 'some ports or pods'),
    mark('deny', '·', 'denied'),
    ...(data.isComparison ? [mark('opened', '+', 'opened'), mark('closed', '−', 'closed')] : []),
  ];
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="${SECURITY}">
<title>Who can reach whom: ${escapeHtml(data.title)}</title>
<style>${STYLE}</style>
<header>
  <h1>Who can reach whom</h1>
  <p class="title">${escapeHtml(data.title)}</p>
  <p id="summary" aria-live="polite"></p>
</header>
<div class="controls">
  <label>Port <select id="port"><option value="">every port</option></select></label>
  <label>Find <input id="search" type="search" placeholder="pod or namespace"></label>
  <label${data.isComparison ? '' : ' hidden'}><input id="changes" type="checkbox"> only what changed</label>
  <button id="fold">Fold all</button><button id="unfold">Unfold all</button>
  <p class="legend">${marks.join('')}</p>
</div>
<main>
  <div class="scroll"><table id="grid" role="grid" aria-label="who can reach whom: a row for each sender, a column for each destination"></table></div>
  <aside id="panel" aria-live="polite" aria-label="explanation" hidden></aside>
</main>
<footer>
  <p id="status">Choose a cell, or move with the arrow keys and press Enter.</p>
  ${data.notes.map((note) => `<p>Not shown: ${escapeHtml(note)}.</p>`).join('')}
</footer>
<script type="text/plain" id="data">${await packed(JSON.stringify(data))}</script>
<script>
${script()}
</script>
</html>
`;
}

function mark(look: string, character: string, meaning: string): string {
  return `<span><span class="mark ${look}">${character}</span>${meaning}</span>`;
}

/** Returns the script. It contains the functions as text: none of them uses its module. */
function script(): string {
  return `'use strict';
(${readData})(document.getElementById('data').textContent).then((data) => {
  const model = (${readModel})(data);
  (${startGrid})(model, (onClose) => (${makePanel})(model, document.getElementById('panel'), onClose));
  document.documentElement.dataset.ready = 'yes';
});`;
}

/**
 * Deflates (RFC 1951) and encodes in base64: a tenth of the size, and it cannot end its element.
 */
async function packed(text: string): Promise<string> {
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream('deflate-raw'));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}

/** Decodes what `packed` made. The page contains this function as text. */
async function readData(text: string): Promise<unknown> {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
  return await new Response(stream).json();
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
