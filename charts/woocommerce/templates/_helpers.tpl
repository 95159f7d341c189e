{{/* Called with (list . "component"): what selectors match; never changes in a shop's life. */}}
{{- define "store.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: woocommerce
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Pod templates, volume claims and Jobs: no chart version, which would restart pods or touch what is immutable. */}}
{{- define "store.labels" -}}
{{- $root := index . 0 -}}
{{- toYaml (mergeOverwrite (deepCopy $root.Values.commonLabels) (include "store.selector" . | fromYaml)) }}
{{- end }}

{{- define "store.objectLabels" -}}
{{- $root := index . 0 -}}
{{ include "store.labels" . }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
{{- end }}

{{- define "store.image" -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag }}{{ end }}
{{- end }}

{{/* Called with (list . uid). */}}
{{- define "store.podSecurity" -}}
{{- $root := index . 0 -}}
automountServiceAccountToken: false
# Injected service variables would look like the applications' own settings.
enableServiceLinks: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ index . 1 }}
  runAsGroup: {{ index . 1 }}
  fsGroup: {{ index . 1 }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "store.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Settings that contradict each other. */}}
{{- define "store.validate" -}}
{{- $hostname := (urlParse .Values.store.url).hostname -}}
{{- if ne $hostname .Values.store.host -}}
{{- fail (printf "store.host (%s) is not the host of store.url (%s)" .Values.store.host .Values.store.url) -}}
{{- end -}}
{{- end }}
