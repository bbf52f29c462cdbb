/**
 * KubeConfig of @kubernetes/client-node, without the clients and models of the whole Kubernetes
 * API: 50 MB and 0.2 s of every process, which only `makeApiClient` needs, and nobody here calls
 * that. The library's configuration imports all of them for two small names, so it gets these
 * alone. The same goes for undici, 100 modules and a tenth of an agent's way to its first request,
 * which only those clients use. To import the library's parts one by one does not help: its login
 * by OpenID Connect imports config.js again.
 *
 * The version is pinned. Where the next one imports anything else, it is loaded as it is, and
 * test/kube/client-library.test.ts names what has changed.
 */
import { registerHooks } from 'node:module';

const LIBRARY = '@kubernetes/client-node/dist/';
const CONFIG = `${LIBRARY}config.js`;
const EVERYTHING = './gen/index.js';
const CLIENT = 'undici';

/**
 * Has the names of undici that the library imports. Whatever uses one learns why it is not there.
 */
const NO_CLIENT = `
const refuse = () => { throw new Error('podfence does not load undici: see kube/client-library'); };
export class Agent { constructor() { refuse(); } }
export class ProxyAgent { constructor() { refuse(); } }
export const fetch = refuse;
`;

const hooks = registerHooks({
  resolve: (specifier, context, next) => {
    const { parentURL = '' } = context;
    const place = (file: string) => JSON.stringify(new URL(file, parentURL).href);
    if (specifier === EVERYTHING && parentURL.endsWith(CONFIG)) {
      return module(`export { createConfiguration } from ${place('./gen/configuration.js')};
                     export { ServerConfiguration } from ${place('./gen/servers.js')};`);
    }
    if (specifier === CLIENT && parentURL.includes(LIBRARY)) return module(NO_CLIENT);
    return next(specifier, context);
  },
});
const { KubeConfig } = await import('@kubernetes/client-node/dist/config.js');
hooks.deregister();

export { KubeConfig };

function module(source: string) {
  return { url: `data:text/javascript,${encodeURIComponent(source)}`, shortCircuit: true };
}
