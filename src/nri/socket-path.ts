/**
 * Where runtimes listen for plugins, unless they are configured otherwise. (api.DefaultSocketPath)
 */
export const DEFAULT_SOCKET_PATH = '/var/run/nri/nri.sock';
