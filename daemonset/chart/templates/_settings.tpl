{{- /* Made by `npm run manifests`: change daemonset/generate and daemonset/base, not this. */ -}}
{{- /* A setting as a variable has it: lists with commas, whole numbers without an exponent. */ -}}
{{- define "podfence.setting" -}}
{{- if kindIs "slice" . }}{{ join "," . }}{{ else if kindIs "float64" . }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- end }}
{{- /* The port of metrics-address: that of the probes and of the Service too. */ -}}
{{- define "podfence.metricsPort" -}}
{{- regexFind "[0-9]+$" (get .Values.settings "metrics-address" | default ":9464") }}
{{- end }}
