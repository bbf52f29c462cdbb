/**
 * Throws on import if Node is too old. Each module that can be the first of a process imports this
 * one before all others. It uses only syntax that an old Node can parse.
 */

/** The same as `engines` in package.json. */
const OLDEST_MAJOR = 24;

if (Number.parseInt(process.versions.node, 10) < OLDEST_MAJOR) {
  throw new Error(`podfence needs Node ${OLDEST_MAJOR} or newer, and this is Node ${process.versions.node}.`);
}
