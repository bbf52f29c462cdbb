/** Messages to and from the thread that reads manifests. */
import type { LoadedManifests, LoadOptions } from './load.ts';

export interface ReadRequest {
  readonly paths: readonly string[];
  readonly options: Omit<LoadOptions, 'stdin'>;
}

/** The parts that can be sent: the others contain functions. */
export type ReadManifests = Pick<LoadedManifests, 'snapshot' | 'problems'>;

export type ReadResponse =
  | { readonly manifests: ReadManifests; readonly failure?: undefined }
  | { readonly manifests?: undefined; readonly failure: string };
