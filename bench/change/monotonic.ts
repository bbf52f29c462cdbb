/** Milliseconds of CLOCK_MONOTONIC, which all processes of the machine share. */
export function monotonic(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}
