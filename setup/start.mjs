/**
 * What the scripts of package.json run: run.mjs, unless Node is too old even for set-up. It keeps
 * to what a Node 12 can parse.
 */
import './oldest-node.mjs';

import('./run.mjs');
