/** `npm run manifests`: writes what is made from daemonset/base and the settings of the agent. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DAEMONSET } from './base.ts';
import { generatedFiles } from './generated-files.ts';

for (const [path, text] of generatedFiles()) {
  const file = join(DAEMONSET, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  console.log(`daemonset/${path}`);
}
