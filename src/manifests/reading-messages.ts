/** What a thread that reads manifests is asked, and answers. */
import type { LoadedManifests, LoadOptions } from './load.ts';

export interface ReadRequest {
  readonly paths: readonly string[];
  readonly options: Omit<LoadOptions, 'stdin'>;
}

/** Without what has functions, which cannot be sent. */
export type ReadManifests = Pick<LoadedManifests, 'snapshot' | 'problems'>;

export type ReadResponse =
  | { readonly manifests: ReadManifests; readonly failure?: undefined }
  | { readonly manifests?: undefined; readonly failure: string };
