/**
 * KubeConfig of @kubernetes/client-node, without the clients and models of the whole Kubernetes
 * API. Those cost every process 50 MB and 0.2 s, and only `makeApiClient` needs them, which
 * podfence never calls. The library's configuration imports all of them for two small names, so the
 * hook hands it those two alone. The same holds for undici, which only those clients use: 100
 * modules, and a tenth of an agent's time to its first request. Importing the library's parts one
 * by one does not help: its OpenID Connect login imports config.js again.
 *
 * The version is pinned. If the next one imports anything else, it loads that unchanged, and
 * test/kube/client-library.test.ts names the difference.
 */
import { registerHooks } from 'node:module';

const LIBRARY = '@kubernetes/client-node/dist/';
const CONFIG = `${LIBRARY}config.js`;
const EVERYTHING = './gen/index.js';
const CLIENT = 'undici';

/** Stands in for the names of undici that the library imports. Using one throws with the reason. */
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
