import { resolve } from 'node:path';

export const PROJECT = resolve(import.meta.dirname, '..', '..');
export const DAEMONSET = resolve(PROJECT, 'daemonset');
