/**
 * The entry of package.json's scripts: runs run.mjs, unless Node is too old even for set-up. It
 * uses only syntax that Node 12 can parse.
 */
import './oldest-node.mjs';

import('./run.mjs');
