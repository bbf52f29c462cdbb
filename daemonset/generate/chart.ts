/**
 * `daemonset/chart`: a Helm chart whose templates are the files of base with values in some places. With
 * the values that it comes with it gives the same objects as base, but for the namespace, which is Helm's.
 */
import { parse, stringify } from 'yaml';
import { read, replace, version } from './base.ts';
import { type Schema, settings, settingsSchema } from './settings.ts';

const DAEMONSET = 'base/daemonset.yaml';
const GENERATED = 'Made by `npm run manifests`: change daemonset/generate and daemonset/base, not this.';

/** All files of the chart, by their path below daemonset/. */
export function chartFiles(): ReadonlyMap<string, string> {
  return new Map([
    ['chart/Chart.yaml', chartYaml()],
    ['chart/values.yaml', valuesYaml()],
    ['chart/values.schema.json', `${JSON.stringify(valuesSchema(), undefined, 2)}\n`],
    ['chart/templates/_settings.tpl', SETTINGS],
    ['chart/templates/rbac.yaml', inNamespace('base/rbac.yaml', 2)],
    ['chart/templates/daemonset.yaml', daemonSet()],
    ['chart/templates/service.yaml', service()],
    ['chart/templates/startup-taint.yaml', startupTaint()],
    ['chart/templates/pod-monitor.yaml', monitoring('pod-monitor.yaml')],
    ['chart/templates/prometheus-rule.yaml', monitoring('prometheus-rule.yaml')],
    ['chart/templates/NOTES.txt', NOTES],
  ]);
}

function chartYaml(): string {
  return `# ${GENERATED}
apiVersion: v2
name: podfence
description: Enforces Kubernetes NetworkPolicy on every node, in userspace
type: application
version: ${version()}
# The tag of the image.
appVersion: "${version()}"
kubeVersion: ">=1.30.0-0"
`;
}

/** What is in base, in these places of the pod's specification, and can be another in the chart. */
interface BasePod {
  readonly nodeSelector: object;
  readonly tolerations: readonly object[];
  readonly priorityClassName: string;
  readonly containers: readonly [{ readonly resources: object }];
}

function baseDaemonSet(): { readonly updateStrategy: object; readonly pod: BasePod } {
  const { spec } = parse(read(DAEMONSET)) as { spec: { updateStrategy: object; template: { spec: BasePod } } };
  return { updateStrategy: spec.updateStrategy, pod: spec.template.spec };
}

function valuesYaml(): string {
  const { updateStrategy, pod } = baseDaemonSet();
  const list = settings()
    .map((option) => `#   ${option.name().padEnd(16)}${option.description}`)
    .join('\n');
  return `# ${GENERATED}

# Push the image to a registry that the nodes reach, and say here where it is.
image:
  repository: podfence
  # The version of the chart where it is empty.
  tag: ""
  pullPolicy: IfNotPresent
imagePullSecrets: []

# The settings of the agent, by the names of the flags of \`podfence agent --help\`, such as
#
#   settings:
#     deny: reject
#     flow-capacity: 131072
#
# What is not given is the agent's own default; node-name and node-addresses come from each node, and
# startup-taint brings the right to patch nodes with it. All of them:
#
${list}
settings: {}

# A PodMonitor and alerts, where the Prometheus operator runs.
prometheusOperator: false

${stringify({ resources: pod.containers[0].resources })}
# Files for the settings that name one: config, kubeconfig.
extraVolumes: []
extraVolumeMounts: []

podLabels: {}
podAnnotations: {}
${stringify({ priorityClassName: pod.priorityClassName, nodeSelector: pod.nodeSelector, tolerations: pod.tolerations, updateStrategy })}`;
}

function valuesSchema(): Schema {
  const text = { type: 'string' };
  const object = { type: 'object' };
  const objects = { type: 'array', items: object };
  const texts = { type: 'object', additionalProperties: text };
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    type: 'object',
    additionalProperties: false,
    properties: {
      image: {
        type: 'object',
        additionalProperties: false,
        properties: {
          repository: { type: 'string', minLength: 1 },
          tag: text,
          pullPolicy: { enum: ['Always', 'IfNotPresent', 'Never'] },
        },
      },
      imagePullSecrets: objects,
      settings: settingsSchema(),
      prometheusOperator: { type: 'boolean' },
      resources: object,
      extraVolumes: objects,
      extraVolumeMounts: objects,
      podLabels: texts,
      podAnnotations: texts,
      priorityClassName: text,
      nodeSelector: texts,
      tolerations: objects,
      updateStrategy: object,
      // Helm gives it to every chart that another one depends on.
      global: object,
    },
  };
}

const SETTINGS = `{{- /* ${GENERATED} */ -}}
{{- /* A setting as a variable has it: lists with commas, whole numbers without an exponent. */ -}}
{{- define "podfence.setting" -}}
{{- if kindIs "slice" . }}{{ join "," . }}{{ else if kindIs "float64" . }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- end }}
{{- /* The port of metrics-address: that of the probes and of the Service too. */ -}}
{{- define "podfence.metricsPort" -}}
{{- regexFind "[0-9]+$" (get .Values.settings "metrics-address" | default ":9464") }}
{{- end }}
`;

/** @param times how often the namespace stands in the file */
function inNamespace(file: string, times = 1): string {
  return replace(file, read(file), 'namespace: podfence-system', 'namespace: {{ .Release.Namespace }}', times);
}

function service(): string {
  const file = 'base/service.yaml';
  const port = '{{ include "podfence.metricsPort" . }}';
  const annotated = replace(file, inNamespace(file), '/port: "9464"', `/port: "${port}"`);
  return replace(file, annotated, '- name: metrics\n      port: 9464', `- name: metrics\n      port: ${port}`);
}

function startupTaint(): string {
  const text = inNamespace('startup-taint/component/rbac.yaml');
  return `{{- if hasKey .Values.settings "startup-taint" }}\n${text}{{- end }}\n`;
}

function monitoring(name: string): string {
  const file = `monitoring/prometheus-operator/${name}`;
  // Prometheus has braces of its own.
  const escaped = read(file).replaceAll(/\{\{|\}\}/g, (braces) => `{{ "${braces}" }}`);
  const text = replace(file, escaped, 'namespace: podfence-system', 'namespace: {{ .Release.Namespace }}').replaceAll(
    '-n podfence-system ',
    '-n {{ .Release.Namespace }} ',
  );
  return `{{- if .Values.prometheusOperator }}\n${text}{{- end }}\n`;
}

/** Each place of base's DaemonSet that a value decides, and what stands there in the template. */
function daemonSet(): string {
  const { updateStrategy, pod } = baseDaemonSet();
  const { nodeSelector, tolerations, priorityClassName, containers } = pod;
  const places: readonly (readonly [from: string, to: string])[] = [
    [
      'image: podfence\n',
      'image: {{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}\n',
    ],
    ['imagePullPolicy: IfNotPresent', 'imagePullPolicy: {{ .Values.image.pullPolicy }}'],
    [block({ updateStrategy }, 2), value('updateStrategy', 2)],
    [block({ nodeSelector }, 6), value('nodeSelector', 6)],
    [block({ tolerations }, 6), value('tolerations', 6)],
    [`priorityClassName: ${priorityClassName}\n`, 'priorityClassName: {{ .Values.priorityClassName }}\n'],
    [block({ resources: containers[0].resources }, 10), value('resources', 10)],
    // The labels that the DaemonSet selects its pods by stand before those that may be added.
    [
      '      labels:\n        app.kubernetes.io/name: podfence\n      annotations:\n        kubectl.kubernetes.io/default-container: agent\n',
      `      labels:\n        app.kubernetes.io/name: podfence\n${added('podLabels', 8)}      annotations:\n        kubectl.kubernetes.io/default-container: agent\n${added('podAnnotations', 8)}`,
    ],
    [
      '      serviceAccountName: podfence\n',
      `      serviceAccountName: podfence\n      {{- with .Values.imagePullSecrets }}\n      imagePullSecrets: {{- toYaml . | nindent 8 }}\n      {{- end }}\n`,
    ],
    ...variables(),
    ['containerPort: 9464', 'containerPort: {{ include "podfence.metricsPort" . }}'],
    ['hostPort: 9464', 'hostPort: {{ include "podfence.metricsPort" . }}'],
    [
      '              mountPath: /run/xtables.lock\n',
      `              mountPath: /run/xtables.lock\n${added('extraVolumeMounts', 12)}`,
    ],
    ['            type: FileOrCreate\n', `            type: FileOrCreate\n${added('extraVolumes', 8)}`],
  ];
  return places.reduce((text, [from, to]) => replace(DAEMONSET, text, from, to), inNamespace(DAEMONSET));
}

/** What base says of the node gives way to a setting of that name; all others follow. */
function variables(): readonly (readonly [from: string, to: string])[] {
  const own = ['node-name', 'node-addresses', 'metrics-address'].map((name) => {
    const text = variableText(name);
    return [
      text,
      `            {{- if not (hasKey .Values.settings "${name}") }}\n${text}            {{- end }}\n`,
    ] as const;
  });
  const end = '          ports:\n            - name: metrics\n';
  const all = `            {{- range $name, $value := .Values.settings }}
            - name: PODFENCE_{{ $name | upper | replace "-" "_" }}
              value: {{ include "podfence.setting" $value | quote }}
            {{- end }}
`;
  return [...own, [end, `${all}${end}`]];
}

/** A variable of base, with the comment above it, from its name to the next one's. */
function variableText(setting: string): string {
  const variable = `- name: PODFENCE_${setting.toUpperCase().replaceAll('-', '_')}\n`;
  const text = new RegExp(`(?: {12}#.*\\n)* {12}${variable}(?: {14}.*\\n)+`).exec(read(DAEMONSET))?.[0];
  if (text === undefined) throw new Error(`daemonset/${DAEMONSET} has no variable ${variable}`);
  return text;
}

/** A field of base as it is written there. */
function block(fields: object, indent: number): string {
  const lines = stringify(fields, { indentSeq: true }).trimEnd().split('\n');
  return lines.map((line) => `${' '.repeat(indent)}${line}\n`).join('');
}

/** The same field, of a value. */
function value(name: string, indent: number): string {
  return `${' '.repeat(indent)}${name}: {{- toYaml .Values.${name} | nindent ${indent + 2} }}\n`;
}

function added(name: string, indent: number): string {
  const before = ' '.repeat(indent);
  return `${before}{{- with .Values.${name} }}\n${before}{{- toYaml . | nindent ${indent} }}\n${before}{{- end }}\n`;
}

const NOTES = `podfence {{ .Chart.AppVersion }} goes to every node.

Is it running, and are the policies in force? An agent is ready when they are:

    kubectl -n {{ .Release.Namespace }} rollout status daemonset podfence
    kubectl -n {{ .Release.Namespace }} port-forward daemonset/podfence {{ include "podfence.metricsPort" . }}
    curl localhost:{{ include "podfence.metricsPort" . }}/readyz

{{- if eq (get .Values.settings "mode" | default "enforce") "audit" }}

It audits: nothing is denied. What enforcement would deny on the node of an agent is told by

    kubectl -n {{ .Release.Namespace }} port-forward daemonset/podfence 9465
    podfence flows --verdict would_deny           # in another terminal
{{- else }}

Does it enforce? A client asks a server once a second, and says in its log what came of it. With the policy
it says "no answer":

    sed 's|podfence:dev|{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}|' examples/try.yaml | kubectl apply -f -
    kubectl apply -f examples/try-isolate.yaml
    kubectl -n try logs -f client
{{- end }}
{{- if hasKey .Values.settings "startup-taint" }}

New nodes that register with the taint {{ get .Values.settings "startup-taint" }} get pods once their agent enforces.
{{- end }}

Before you uninstall: the rules of the agents stay in the kernels, and drop new connections of isolated
pods. Let each agent take its own away first:

    kubectl -n {{ .Release.Namespace }} patch daemonset podfence --patch-file daemonset/removal.yaml
    kubectl -n {{ .Release.Namespace }} rollout status daemonset podfence
    helm -n {{ .Release.Namespace }} uninstall {{ .Release.Name }}
`;
