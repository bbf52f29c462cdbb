/**
 * Reads the Dockerfile instructions that ours uses; any other is an error. See Docker's Dockerfile
 * reference.
 */

/**
 * COPY and RUN with everything it takes to execute them, and the instructions that affect how the
 * image runs.
 */
export type Instruction =
  | { readonly kind: 'ARG'; readonly name: string; readonly value: string | undefined }
  | { readonly kind: 'ENV'; readonly name: string; readonly value: string }
  | { readonly kind: 'LABEL'; readonly name: string; readonly value: string }
  | { readonly kind: 'WORKDIR'; readonly path: string }
  | {
      readonly kind: 'COPY';
      readonly from: string | undefined;
      readonly sources: readonly string[];
      readonly to: string;
    }
  | { readonly kind: 'RUN'; readonly script: string }
  | { readonly kind: 'USER'; readonly user: string }
  | { readonly kind: 'EXPOSE'; readonly port: number }
  | { readonly kind: 'ENTRYPOINT'; readonly command: readonly string[] };

export interface Stage {
  readonly image: string;
  /** Builds on the machine's own platform, whatever the target. */
  readonly native: boolean;
  /** `AS name`, or its number. */
  readonly name: string;
  readonly instructions: readonly Instruction[];
}

class DockerfileError extends Error {
  override name = 'DockerfileError';
}

/** Throws DockerfileError with the line's number. */
export function parseDockerfile(text: string): readonly Stage[] {
  const stages: (Stage & { readonly instructions: Instruction[] })[] = [];
  for (const { line, number } of logicalLines(text)) {
    const { word, rest } = split(line);
    try {
      if (word === 'FROM') stages.push({ ...parseFrom(rest, stages.length), instructions: [] });
      else if (stages.length === 0) throw new DockerfileError(`${word} before FROM`);
      else stages.at(-1)?.instructions.push(...parseInstruction(word, rest));
    } catch (error) {
      if (!(error instanceof DockerfileError)) throw error;
      throw new DockerfileError(`Dockerfile:${number}: ${error.message}`);
    }
  }
  return stages;
}

/** Replaces `$NAME` and `${NAME}` with arguments and environment, as Docker does outside RUN. */
export function substitute(text: string, values: ReadonlyMap<string, string>): string {
  return text.replaceAll(/\$(?:\{(\w+)\}|(\w+))/g, (_, braced, plain) => values.get(braced ?? plain) ?? '');
}

/** Yields lines with their continuations joined, without comments. */
function* logicalLines(text: string): Generator<{ line: string; number: number }> {
  let pending = '';
  let first = 0;
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '' || line.trimStart().startsWith('#')) continue;
    if (pending === '') first = index + 1;
    if (line.endsWith('\\')) {
      pending += `${line.slice(0, -1).trim()} `;
      continue;
    }
    yield { line: `${pending}${line.trim()}`, number: first };
    pending = '';
  }
  if (pending !== '') throw new DockerfileError(`Dockerfile:${first}: ends within an instruction`);
}

function split(line: string): { word: string; rest: string } {
  const end = line.indexOf(' ');
  return end < 0 ? { word: line, rest: '' } : { word: line.slice(0, end), rest: line.slice(end).trim() };
}

function parseFrom(rest: string, index: number): Omit<Stage, 'instructions'> {
  const match = /^(--platform=\$BUILDPLATFORM )?([^\s-]\S*)(?: AS (\S+))?$/.exec(rest);
  if (match?.[2] === undefined) throw new DockerfileError(`FROM ${rest} is not understood`);
  return { image: match[2], native: match[1] !== undefined, name: match[3] ?? String(index) };
}

function parseInstruction(word: string, rest: string): Instruction[] {
  switch (word) {
    case 'ARG': {
      const [name = '', value] = rest.split(/=(.*)/s);
      return [{ kind: 'ARG', name, value }];
    }
    case 'ENV':
    case 'LABEL':
      return pairs(rest).map(([name, value]) => ({ kind: word, name, value }));
    case 'WORKDIR':
      return [{ kind: 'WORKDIR', path: rest }];
    case 'COPY':
      return [parseCopy(rest)];
    case 'RUN':
      if (rest.startsWith('--') || rest.startsWith('[')) throw new DockerfileError(`RUN ${rest} is not understood`);
      return [{ kind: 'RUN', script: rest }];
    case 'USER':
      return [{ kind: 'USER', user: rest }];
    case 'EXPOSE':
      return [{ kind: 'EXPOSE', port: Number(rest) }];
    case 'ENTRYPOINT':
      return [{ kind: 'ENTRYPOINT', command: JSON.parse(rest) as string[] }];
    default:
      throw new DockerfileError(`${word} is not understood`);
  }
}

/** Parses any number of NAME=value or NAME="some value". */
function pairs(text: string): [string, string][] {
  const pair = /([\w.-]+)=(?:"([^"]*)"|(\S*))/g;
  if (text.replaceAll(pair, '').trim() !== '') throw new DockerfileError(`${text} is not understood`);
  return [...text.matchAll(pair)].map(([, name = '', quoted, plain = '']) => [name, quoted ?? plain]);
}

function parseCopy(rest: string): Instruction {
  const words = rest.split(/\s+/);
  const from = words[0]?.startsWith('--from=') ? words.shift()?.slice('--from='.length) : undefined;
  const to = words.pop();
  if (to === undefined || words.length === 0 || words.some((word) => word.startsWith('--')))
    throw new DockerfileError(`COPY ${rest} is not understood`);
  return { kind: 'COPY', from, sources: words, to };
}
