/** Kinds of objects that podfence does not read, and whether they create pods. */

/** Kinds that create no pods. From any other kind an operator may create some. */
const WITHOUT_PODS: ReadonlySet<string> = new Set([
  // Of Kubernetes.
  ...[
    'ConfigMap',
    'Secret',
    'ServiceAccount',
    'Role',
    'RoleBinding',
    'ClusterRole',
    'ClusterRoleBinding',
    'LimitRange',
  ],
  ...['ResourceQuota', 'PersistentVolume', 'PersistentVolumeClaim', 'StorageClass', 'VolumeSnapshotClass', 'CSIDriver'],
  ...['Ingress', 'IngressClass', 'Endpoints', 'EndpointSlice', 'HorizontalPodAutoscaler', 'PodDisruptionBudget'],
  ...[
    'PriorityClass',
    'RuntimeClass',
    'Lease',
    'Event',
    'Node',
    'APIService',
    'CustomResourceDefinition',
    'PodSecurityPolicy',
  ],
  ...['MutatingWebhookConfiguration', 'ValidatingWebhookConfiguration', 'ValidatingAdmissionPolicy'],
  ...['ValidatingAdmissionPolicyBinding', 'AdminNetworkPolicy', 'BaselineAdminNetworkPolicy', 'ControllerRevision'],
  ...['FlowSchema', 'PriorityLevelConfiguration', 'CertificateSigningRequest', 'Service (ExternalName)'],
  // Of common tools and add-ons.
  ...['Kustomization', 'Component', 'GatewayClass', 'HTTPRoute', 'GRPCRoute', 'TCPRoute', 'TLSRoute', 'ReferenceGrant'],
  ...[
    'VirtualService',
    'DestinationRule',
    'ServiceEntry',
    'PeerAuthentication',
    'AuthorizationPolicy',
    'RequestAuthentication',
  ],
  ...[
    'Certificate',
    'Issuer',
    'ClusterIssuer',
    'ServiceMonitor',
    'PodMonitor',
    'PrometheusRule',
    'Probe',
    'GrafanaDashboard',
  ],
  ...['ExternalSecret', 'SecretStore', 'ClusterSecretStore', 'SealedSecret', 'ScaledObject', 'TriggerAuthentication'],
  ...['VerticalPodAutoscaler', 'ClusterPolicy', 'Policy', 'CiliumNetworkPolicy', 'CiliumClusterwideNetworkPolicy'],
  ...[
    'GlobalNetworkPolicy',
    'NetworkSet',
    'GlobalNetworkSet',
    'IngressRoute',
    'Middleware',
    'BackendConfig',
    'FrontendConfig',
  ],
]);

/**
 * @param kind as the reader of manifests counts it: another project's with its apiVersion,
 * `NetworkPolicy (crd.projectcalico.org/v1)`, and a patch as `Deployment ($patch)`
 */
export function makesNoPods(kind: string): boolean {
  return WITHOUT_PODS.has(kind) || kind.startsWith('NetworkPolicy (') || kind.endsWith(' ($patch)');
}
