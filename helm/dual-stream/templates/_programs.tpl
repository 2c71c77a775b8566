{{/*
The programs of this image that are enabled, the service first. Each has its values: what it has of its own, and what it shares with
the service.
*/}}
{{- define "dual-stream.programs" -}}
{{- $root := . -}}
{{- $shared := list
  "revisionHistoryLimit" "minReadySeconds" "updateStrategy" "probes" "topologySpreadConstraints" "tolerations" "nodeSelector"
  "priorityClassName"
-}}
{{- $own := list
  "replicaCount" "terminationGracePeriodSeconds" "deploymentAnnotations" "podAnnotations" "podLabels" "resources"
  "podDisruptionBudget" "affinity" "autoscaling" "keda" "service" "extraEnv" "extraVolumes" "extraVolumeMounts" "extraContainers"
  "initContainers"
-}}
{{- /* The flags that the service has beside are for many events a second in memory. */}}
{{- $node := list "node" "--disable-warning=TimeoutNegativeWarning" -}}
{{- $commands := dict "ingest" list
  "processor" (append $node "dist/processor/server.js")
  "query" (append $node "dist/query/server.js")
-}}
{{- $programs := list -}}
{{- range $component := list "ingest" "processor" "query" -}}
{{- $isService := eq $component "ingest" -}}
{{- $from := $isService | ternary $root.Values (get $root.Values $component | default dict) -}}
{{- if or $isService $from.enabled -}}
{{- $values := dict -}}
{{- range $shared -}}
{{- $_ := set $values . (get $root.Values .) -}}
{{- end -}}
{{- range $own -}}
{{- $_ := set $values . (get $from .) -}}
{{- end -}}
{{- $found := include "dual-stream.settingsAndMounts" (list $root $component) | fromYaml -}}
{{- $programs = append $programs (dict
  "component" $component
  "prefix" ($isService | ternary "" (printf "%s." $component))
  "name" (include "dual-stream.programName" (list $root $component))
  "values" $values
  "command" (get $commands $component)
  "ports" (eq $component "processor" | ternary (list "management") (list "api" "management"))
  "settings" $found.settings
  "mounts" $found.mounts
  "known" (include "dual-stream.known" (list $found.settings $values.extraEnv) | fromYaml)
) -}}
{{- end -}}
{{- end -}}
{{- toYaml $programs -}}
{{- end -}}

{{/* One of them. Call it with a list: the root, its component. */}}
{{- define "dual-stream.program" -}}
{{- $component := index . 1 -}}
{{- range include "dual-stream.programs" (index . 0) | fromYamlArray -}}
{{- if eq .component $component -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}
{{- end -}}
