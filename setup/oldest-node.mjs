/**
 * Ends the process, in one sentence, under a Node on which set-up itself does not run. It is
 * imported before all other modules. Under a newer Node that is too old for podfence set-up
 * downloads one.
 */

const OLDEST_MAJOR = 18;

if (Number.parseInt(process.versions.node, 10) < OLDEST_MAJOR) {
  process.stderr.write(
    `podfence: set-up needs Node ${OLDEST_MAJOR} or newer, and this is Node ${process.versions.node}.\n`,
  );
  process.exit(1);
}
