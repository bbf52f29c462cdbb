// resolve.ts TIMES NAME …: asks the system's resolver for all addresses of each name, so that A and AAAA go out at once from one
// socket; prints a JSON array of how often each was found.
import { lookup } from 'node:dns/promises';

const [times, ...names] = process.argv.slice(2);
const found: number[] = [];
for (const name of names) {
  let count = 0;
  for (let i = 0; i < Number(times); i++) {
    const addresses = await lookup(name, { all: true }).catch(() => []);
    if (addresses.length > 0) count++;
  }
  found.push(count);
}
console.log(JSON.stringify(found));
