/** How far a pod has started, and what keeps it from running. */

/**
 * The fields of a Pod that matter
 * (https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/).
 */
export interface PodObject {
  readonly metadata: { readonly name: string };
  readonly spec?: { readonly nodeName?: string };
  readonly status?: {
    readonly phase?: string;
    readonly reason?: string;
    readonly message?: string;
    readonly podIPs?: readonly { readonly ip: string }[];
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[];
    readonly containerStatuses?: readonly {
      readonly state?: {
        readonly waiting?: { readonly reason?: string; readonly message?: string };
        readonly running?: object;
        readonly terminated?: { readonly exitCode?: number; readonly reason?: string };
      };
    }[];
  };
}

export interface PodState {
  readonly state: 'running' | 'pending' | 'hopeless';
  /** Why it does not run; empty if it does. */
  readonly reason: string;
}

/** The kubelet's reasons that waiting does not cure. */
const HOPELESS = new Set([
  'ErrImageNeverPull',
  'ImagePullBackOff',
  'InvalidImageName',
  'CreateContainerConfigError',
  'CreateContainerError',
  'RunContainerError',
]);
const OF_THE_IMAGE = /Image/;

/** @param image as the user gave it, for the message */
export function podState({ metadata, status }: PodObject, image: string): PodState {
  const state = status?.containerStatuses?.[0]?.state;
  if (state?.running !== undefined) return { state: 'running', reason: '' };
  const { waiting, terminated } = state ?? {};
  if (terminated !== undefined || status?.phase === 'Failed' || status?.phase === 'Succeeded') {
    const how = terminated?.reason ?? status?.reason ?? 'unknown reason';
    const code = terminated?.exitCode === undefined ? '' : `, exit code ${terminated.exitCode}`;
    return { state: 'hopeless', reason: `pod ${metadata.name} ended (${how}${code})` };
  }
  const reason = waiting?.reason ?? '';
  if (HOPELESS.has(reason)) {
    const what = OF_THE_IMAGE.test(reason)
      ? `the image ${image} is not on the node and cannot be pulled`
      : `the container of pod ${metadata.name} cannot be started`;
    const detail = waiting?.message ? `: ${waiting.message.slice(0, 300)}` : '';
    return { state: 'hopeless', reason: `${what} (${reason}${detail}). See --image and --image-pull-policy` };
  }
  const scheduled = status?.conditions?.find(({ type }) => type === 'PodScheduled');
  if (scheduled?.status === 'False') {
    return {
      state: 'pending',
      reason: `pod ${metadata.name} is not scheduled: ${scheduled.message?.slice(0, 300) ?? ''}`,
    };
  }
  return { state: 'pending', reason: `pod ${metadata.name} is waiting${reason === '' ? '' : ` (${reason})`}` };
}

export function addressesOf({ status }: PodObject): Readonly<Partial<Record<'IPv4' | 'IPv6', string>>> {
  const addresses = status?.podIPs?.map(({ ip }) => ip) ?? [];
  const IPv4 = addresses.find((ip) => !ip.includes(':'));
  const IPv6 = addresses.find((ip) => ip.includes(':'));
  return { ...(IPv4 === undefined ? {} : { IPv4 }), ...(IPv6 === undefined ? {} : { IPv6 }) };
}
