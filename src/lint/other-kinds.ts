/** Kinds of objects that podfence does not read, by whether pods come of them. */

/** Kinds of which it is known that they make no pods; of all others, operators may. */
const WITHOUT_PODS: ReadonlySet<string> = new Set([
  // Kubernetes' own.
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
  // Tools' and add-ons' that are in many folders.
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

/** @param kind as the manifests' reader counts it, another project's with its apiVersion: `NetworkPolicy (crd.projectcalico.org/v1)`, and patches so: `Deployment ($patch)`. */
export function makesNoPods(kind: string): boolean {
  return WITHOUT_PODS.has(kind) || kind.startsWith('NetworkPolicy (') || kind.endsWith(' ($patch)');
}
