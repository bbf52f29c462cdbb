/**
 * Exits with a one-sentence message under a Node too old for set-up itself. Imported before all
 * other modules. If Node is new enough for set-up but too old for podfence, set-up downloads a
 * newer one.
 */

const OLDEST_MAJOR = 18;

if (Number.parseInt(process.versions.node, 10) < OLDEST_MAJOR) {
  process.stderr.write(
    `podfence: set-up needs Node ${OLDEST_MAJOR} or newer, and this is Node ${process.versions.node}.\n`,
  );
  process.exit(1);
}
