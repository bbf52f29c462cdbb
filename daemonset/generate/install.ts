/** `daemonset/install.yaml`: what `kubectl apply -k daemonset/base` applies, as one file. */
import { read, replace, resources, version } from './base.ts';

const HEAD = `# podfence on every node, in one file. Made from daemonset/base by \`npm run manifests\`: change that, not this.
#
#     kubectl apply -f daemonset/install.yaml
#
# The image is podfence:VERSION, which no public registry has. Push it where your nodes find it, and say where:
#
#     sed 's|podfence:VERSION|registry.example.com/podfence:VERSION|' daemonset/install.yaml | kubectl apply -f -
`;

export function installYaml(): string {
  const documents = resources('base').map((file) => {
    const text = read(file);
    return file === 'base/daemonset.yaml'
      ? replace(file, text, 'image: podfence\n', `image: podfence:${version()}\n`)
      : text;
  });
  return [HEAD.replaceAll('VERSION', version()), ...documents].join('---\n');
}
