/** Finds the running lab that a command names. */
import { type LabState, readStates } from '../../lab/state-file.ts';
import { InputError } from '../shared/exit-code.ts';

/** @throws InputError if no such lab is up. */
export function runningLab(name: string): LabState {
  const states = readStates();
  const state = states.find((each) => each.name === name);
  if (state) return state;
  const others = states.map((each) => each.name).join(', ');
  throw new InputError(
    others === ''
      ? 'no lab is up; podfence lab up --manifests PATH starts one'
      : `no lab called ${name} is up; --name chooses among: ${others}`,
  );
}
