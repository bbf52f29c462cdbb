import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readSources } from '../../src/manifests/sources.ts';
import { folderOf, stream } from './manifest-files.ts';

/** Returns the sources as `file: text` or `file! message | hint`, paths relative to the folder. */
async function read(folder: string, paths: readonly string[], stdin: string | Uint8Array = ''): Promise<string[]> {
  const lines: string[] = [];
  for await (const source of readSources(paths, stream(stdin))) {
    const file = source.file.replace(`${folder}/`, '');
    const hint =
      'problem' in source && source.problem.hint ? ` | ${source.problem.hint.replaceAll(`${folder}/`, '')}` : '';
    lines.push('problem' in source ? `${file}! ${source.problem.message}${hint}` : `${file}: ${source.text}`);
  }
  return lines;
}

describe('a folder', () => {
  it('is read with its subfolders, sorted, without hidden and other files', async () => {
    await using folder = await folderOf({
      'b.yaml': 'b',
      'a.yml': 'a',
      'c.json': 'c',
      '.d.yaml': 'd',
      'e.txt': 'e',
      'f.yaml.bak': 'f',
    });
    for (const name of ['bb', '.git']) {
      await mkdir(join(folder.path, name));
      await writeFile(join(folder.path, name, 'x.yaml'), name);
    }
    expect(await read(folder.path, [folder.path])).toEqual(['a.yml: a', 'b.yaml: b', 'bb/x.yaml: bb', 'c.json: c']);
  });

  it('with links that lead in a circle is read once', async () => {
    await using folder = await folderOf({ 'a.yaml': 'a' });
    await symlink(folder.path, join(folder.path, 'again'));
    await symlink(join(folder.path, 'a.yaml'), join(folder.path, 'b.yaml'));
    expect(await read(folder.path, [folder.path, folder.path, join(folder.path, 'a.yaml')])).toEqual([
      'a.yaml: a',
      `${folder.path}! the folder contains no *.yaml, *.yml or *.json file`,
    ]);
  });

  it('without manifests is a problem', async () => {
    await using folder = await folderOf({ 'README.md': '' });
    expect(await read('none', [folder.path])).toEqual([
      `${folder.path}! the folder contains no *.yaml, *.yml or *.json file`,
    ]);
  });

  it('with an unreadable file still gives the others', async () => {
    await using folder = await folderOf({ 'b.yaml': 'b' });
    await symlink('nowhere', join(folder.path, 'a.yaml'));
    await symlink('c.yaml', join(folder.path, 'c.yaml'));
    expect(await read(folder.path, [folder.path])).toEqual([
      'a.yaml! there is no such file or folder',
      'b.yaml: b',
      'c.yaml! the symbolic link leads in a circle',
    ]);
  });
});

it('a file is read whatever its name', async () => {
  await using folder = await folderOf({ 'manifests.txt': 'a: 1' });
  expect(await read(folder.path, [join(folder.path, 'manifests.txt')])).toEqual(['manifests.txt: a: 1']);
});

it('standard input is read once, even with characters split between chunks', async () => {
  expect(await read('', ['-', '-'], 'naïve ☃')).toEqual(['-: naïve ☃']);
});

describe('what cannot be read', () => {
  it('a missing file, with the most similar one', async () => {
    await using folder = await folderOf({ 'web.yaml': '' });
    expect(await read(folder.path, [join(folder.path, 'wep.yaml')])).toEqual([
      'wep.yaml! there is no such file or folder | Did you mean web.yaml?',
    ]);
    expect(await read(folder.path, ['/nowhere/at/all'])).toEqual(['/nowhere/at/all! there is no such file or folder']);
  });

  it.each<[string, Uint8Array, string]>([
    ['binary', Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 0), 'the file is binary, neither YAML nor JSON'],
    ['UTF-16', Uint8Array.of(0xff, 0xfe, 0x61, 0), 'the file is UTF-16 text | Save it as UTF-8.'],
    ['Latin-1', Uint8Array.of(0x61, 0xe9, 0x61), 'the file is not UTF-8 text | Save it as UTF-8.'],
  ])('a %s file', async (_, bytes, expected) => {
    expect(await read('', ['-'], bytes)).toEqual([`-! ${expected}`]);
  });

  it('but a byte order mark is no part of the text', async () => {
    expect(await read('', ['-'], '\ufeffa: 1')).toEqual(['-: a: 1']);
  });
});
