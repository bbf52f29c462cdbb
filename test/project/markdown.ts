/** Links and anchors of Markdown documents, as on GitHub. */
import { globSync } from 'node:fs';

/** Returns the Markdown files of the checkout, without what is installed or generated in it. */
export function markdownFiles(root: string): readonly string[] {
  const isForeign = (name: string) => ['node_modules', 'dist', '.cache', '.git'].includes(name);
  return globSync('**/*.md', { cwd: root, exclude: isForeign }).sort();
}

/** Returns the targets of links and pictures outside code. */
export function linksOf(markdown: string): readonly string[] {
  return [...prose(markdown).matchAll(/\]\(([^()\s]+)\)/g)].map(([, target = '']) => target);
}

/**
 * Returns the anchors of headings: lower case, without punctuation, with hyphens for spaces. The
 * second of two equal ones ends with -1.
 */
export function anchorsOf(markdown: string): ReadonlySet<string> {
  const anchors = new Set<string>();
  const counts = new Map<string, number>();
  for (const [, heading = ''] of withoutFences(markdown).matchAll(/^#{1,6} +(.+?) *$/gm)) {
    const slug = heading
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\p{M} _-]/gu, '')
      .replaceAll(' ', '-');
    const count = counts.get(slug) ?? 0;
    counts.set(slug, count + 1);
    anchors.add(count === 0 ? slug : `${slug}-${count}`);
  }
  return anchors;
}

/** Removes code: fenced, indented, and within a line. */
function prose(markdown: string): string {
  return withoutFences(markdown)
    .replaceAll(/^ {4}.*$/gm, '')
    .replaceAll(/(`+)(?!`)[^\n]*?[^`\n]\1(?!`)/g, (code) => (code.includes('](') ? '' : code));
}

function withoutFences(markdown: string): string {
  return markdown.replaceAll(/^(```|~~~)[\s\S]*?^\1.*$/gm, '');
}
