/** Why nothing can be captured, and what to do about it, depending on how podfence is installed. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** Where podfence runs from. Each brings libpcap and `cap` in its own way. */
type Installation = 'image' | 'checkout' | 'package';

const ROOT = join(import.meta.dirname, '..', '..');

/**
 * @param message the error of loading the package `cap`, or of opening libpcap with it
 * @param installation @default where this program runs from
 */
export function captureAdvice(message: string, installation: Installation = installationHere()): string {
  // Without privileges it fails earlier. Here the group is taken: nfnetlink_log binds one socket a
  // group.
  if (message.includes('listen on group index'))
    return `another program has this NFLOG group: choose a free one (${message})`;
  if (/permission|not permitted/.test(message))
    return `capturing needs root, or CAP_NET_RAW and CAP_NET_ADMIN (${message})`;
  if (message.includes('libpcap.so')) return `libpcap is missing (${message}). ${LIBPCAP[installation]}`;
  return `the npm package cap is missing, or was not built (${message}). ${CAP[installation]}`;
}

const REBUILD_IMAGE = "This image lacks it: rebuild the image from podfence's Dockerfile, which";
const INSTALL_COMPILER = 'On Debian and Ubuntu: apt-get install libpcap-dev g++ make python3, then';

const LIBPCAP: Readonly<Record<Installation, string>> = {
  image: `${REBUILD_IMAGE} installs libpcap0.8.`,
  checkout: 'On Debian and Ubuntu: apt-get install libpcap0.8',
  package: 'On Debian and Ubuntu: apt-get install libpcap0.8',
};

const CAP: Readonly<Record<Installation, string>> = {
  image: `${REBUILD_IMAGE} compiles it.`,
  checkout: `npm builds it where it finds libpcap's headers and a compiler. ${INSTALL_COMPILER} npm ci`,
  package: `npm builds it where it finds libpcap's headers and a compiler. ${INSTALL_COMPILER} npm install podfence again`,
};

/** A pod's environment names the API server (Kubernetes' "Accessing the API from a Pod"). */
function installationHere(): Installation {
  if (process.env.KUBERNETES_SERVICE_HOST !== undefined) return 'image';
  return existsSync(join(ROOT, 'package-lock.json')) ? 'checkout' : 'package';
}
