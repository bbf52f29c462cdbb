/**
 * Refuses a Node that is too old, when it is imported. Whoever can be the first module of a process
 * imports it before all others. It keeps to what an old Node can parse.
 */

/** As `engines` of package.json has it. */
const OLDEST_MAJOR = 24;

if (Number.parseInt(process.versions.node, 10) < OLDEST_MAJOR) {
  throw new Error(`podfence needs Node ${OLDEST_MAJOR} or newer, and this is Node ${process.versions.node}.`);
}
