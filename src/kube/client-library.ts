/**
 * KubeConfig of @kubernetes/client-node, without the clients and models of the whole Kubernetes API: those are 50 MB and 0.2 s of every process, and only
 * `makeApiClient` needs them, which nobody here calls. The library's configuration imports all of them for two small names; it is given these alone. The same
 * with undici, 100 modules and a tenth of an agent's way to its first request: only those clients ask by it. Where a later version is made otherwise, it is
 * loaded as it is.
 */
import { registerHooks } from 'node:module';

const LIBRARY = '@kubernetes/client-node/dist/';
const CONFIG = `${LIBRARY}config.js`;
const EVERYTHING = './gen/index.js';
const CLIENT = 'undici';

const hooks = registerHooks({
  resolve: (specifier, context, next) => {
    const { parentURL = '' } = context;
    const place = (file: string) => JSON.stringify(new URL(file, parentURL).href);
    if (specifier === EVERYTHING && parentURL.endsWith(CONFIG)) {
      return module(`export { createConfiguration } from ${place('./gen/configuration.js')};
                     export { ServerConfiguration } from ${place('./gen/servers.js')};`);
    }
    if (specifier === CLIENT && parentURL.includes(LIBRARY)) {
      return module('export class Agent {}; export class ProxyAgent {}; export const fetch = undefined;');
    }
    return next(specifier, context);
  },
});
const { KubeConfig } = await import('@kubernetes/client-node/dist/config.js');
hooks.deregister();

export { KubeConfig };

function module(source: string) {
  return { url: `data:text/javascript,${encodeURIComponent(source)}`, shortCircuit: true };
}
