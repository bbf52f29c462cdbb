/** Stands in for a tool of the packet filter, first in an agent's PATH. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Writes a command that runs `script`, a piece of shell, and then the machine's own tool with the
 * same input. An agent starts some tools in advance and sends their input later: the script runs
 * when all input is there.
 */
export function shimTool(folder: string, tool: string, script: string): void {
  const lines = [
    '#!/bin/sh',
    `PATH=\${PATH#*:}`,
    'case "$*" in *restore*|*"-f -"*|*--noflush*)',
    `  input=$(mktemp ${folder}/input-XXXXXX)`,
    '  cat > "$input"',
    '  exec < "$input"',
    '  rm "$input";;',
    'esac',
    script,
    `exec ${tool} "$@"`,
  ];
  writeFileSync(join(folder, tool), `${lines.join('\n')}\n`, { mode: 0o755 });
}
