/** Returns the signatures by which a run recognises known faults and continues. */
import { readCase } from './cases.ts';
import { faultOf } from './faults.ts';
import { KNOWN } from './known.ts';
import { loadTarget } from './targets.ts';

export async function knownSignatures(target: string): Promise<string[]> {
  const code = await loadTarget(target);
  const signatures: string[] = [];
  for (const { name } of KNOWN.filter((fault) => fault.target === target)) {
    const fault = await faultOf(code, readCase(target, name));
    if (fault !== undefined) signatures.push(fault.signature);
  }
  return signatures;
}
