{{- define "dual-stream.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* 52 characters leave room for what is appended: -management. */}}
{{- define "dual-stream.fullname" -}}
{{- $name := include "dual-stream.name" . -}}
{{- $whole := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- .Values.fullnameOverride | default $whole | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* Of the objects of a program. 42 characters leave room for -processor-management. Call it with a list: the root, its component. */}}
{{- define "dual-stream.programName" -}}
{{- $whole := include "dual-stream.fullname" (index . 0) -}}
{{- if eq (index . 1) "ingest" -}}
{{- $whole -}}
{{- else -}}
{{- printf "%s-%s" ($whole | trunc 42 | trimSuffix "-") (index . 1) -}}
{{- end -}}
{{- end -}}

{{- define "dual-stream.serviceAccountName" -}}
{{- $made := .Values.serviceAccount.create | ternary (include "dual-stream.fullname" .) "default" -}}
{{- .Values.serviceAccount.name | default $made -}}
{{- end -}}

{{/* A digest says exactly what runs, so it wins over a tag. */}}
{{- define "dual-stream.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
What never changes: selectors cannot be changed. The component keeps programs and the pod of `helm test` apart. Call it with a list: the
root, the component.
*/}}
{{- define "dual-stream.selectorLabels" -}}
app.kubernetes.io/name: {{ include "dual-stream.name" (index . 0) }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Of the Service for a program's management port, so that a ServiceMonitor selects this one alone. */}}
{{- define "dual-stream.managementComponent" -}}
{{- eq . "ingest" | ternary "management" (printf "%s-management" .) -}}
{{- end -}}

{{/* Labels of an object. Call it with a list: the root, the component, labels of its own. */}}
{{- define "dual-stream.labels" -}}
{{- $root := index . 0 -}}
{{- $own := dict
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_")
  "app.kubernetes.io/name" (include "dual-stream.name" $root)
  "app.kubernetes.io/instance" $root.Release.Name
  "app.kubernetes.io/version" $root.Chart.AppVersion
  "app.kubernetes.io/component" (index . 1)
  "app.kubernetes.io/part-of" "dual-stream"
  "app.kubernetes.io/managed-by" $root.Release.Service
-}}
{{- toYaml (merge $own (index . 2) $root.Values.commonLabels) -}}
{{- end -}}
