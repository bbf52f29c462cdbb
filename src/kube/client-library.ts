/**
 * KubeConfig of @kubernetes/client-node, without the clients and models of the whole Kubernetes API: those are 50 MB and 0.2 s of every process, and only
 * `makeApiClient` needs them, which nobody here calls. The library's configuration imports all of them for two small names; it is given these alone. Where a
 * later version is made otherwise, it is loaded as it is.
 */
import { registerHooks } from 'node:module';

const CONFIG = '@kubernetes/client-node/dist/config.js';
const EVERYTHING = './gen/index.js';

const hooks = registerHooks({
  resolve: (specifier, context, next) => {
    const { parentURL = '' } = context;
    if (specifier !== EVERYTHING || !parentURL.endsWith(CONFIG)) return next(specifier, context);
    const place = (file: string) => JSON.stringify(new URL(file, parentURL).href);
    const source = `export { createConfiguration } from ${place('./gen/configuration.js')};
                    export { ServerConfiguration } from ${place('./gen/servers.js')};`;
    return { url: `data:text/javascript,${encodeURIComponent(source)}`, shortCircuit: true };
  },
});
const { KubeConfig } = await import('@kubernetes/client-node/dist/config.js');
hooks.deregister();

export { KubeConfig };
