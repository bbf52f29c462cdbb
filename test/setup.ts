/** Runs in each test file before its tests. */
import { endEachTestWithItsOwn } from './own.ts';

endEachTestWithItsOwn();
