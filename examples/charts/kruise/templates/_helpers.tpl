{{- define "kruise.labels" -}}
app.kubernetes.io/name: kruise
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_") }}
{{- end }}

{{- /* A repository that begins with a host stands as it is. */}}
{{- define "kruise.image" -}}
{{- $image := .image }}{{ $all := .root.Values.image }}
{{- $host := $all.registry | trimSuffix "/" }}
{{- if $all.china }}{{ $host = "openkruise-registry.cn-shanghai.cr.aliyuncs.com" }}{{ end }}
{{- if regexMatch "^([^/]*[.:][^/]*|localhost)/" $image.repository }}{{ $host = "" }}{{ end }}
{{- $tag := default (printf "v%s" .root.Chart.AppVersion) $image.tag }}
{{- if $host }}{{ $host }}/{{ end }}{{ $image.repository }}{{ if hasPrefix "sha256:" $tag }}@{{ else }}:{{ end }}{{ $tag }}
{{- end }}

{{- /* "true" unless the gates, read like the programs read them, switch it off: the last word on a name counts. */}}
{{- define "kruise.daemonEnabled" -}}
{{- $on := "true" }}
{{- range splitList "," .Values.featureGates }}
{{- $pair := splitList "=" (. | trim) }}
{{- if eq (first $pair | trim) "KruiseDaemon" }}
{{- $on = ternary "true" "" (has (last $pair | trim) (list "1" "t" "T" "true" "TRUE" "True")) }}
{{- end }}
{{- end }}
{{- $on }}
{{- end }}

{{- /* (list . "name"): the rules of files/rules/name.yaml, without the line that says how they were made. */}}
{{- define "kruise.rules" -}}
{{- $root := first . }}
{{- $text := $root.Files.Get (printf "files/rules/%s.yaml" (last .)) }}
{{- regexReplaceAll "^# Generated[^\n]*\n" $text "" | trim }}
{{- end }}

{{- /* Azure Kubernetes Service otherwise changes the webhooks so that they leave out its own namespaces, against the manager. */}}
{{- define "kruise.webhookAnnotations" }}
{{- if .Values.webhookConfiguration.aksIntegration }}
  annotations:
    admissions.enforcer/disabled: "true"
{{- end }}
{{- end }}

{{- define "kruise.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Of every pod that runs the manager's image: as whom it runs, and where. */}}
{{- define "kruise.managerPod" -}}
{{- $m := .Values.manager -}}
automountServiceAccountToken: false
hostNetwork: {{ $m.hostNetwork }}
{{- if $m.hostNetwork }}
dnsPolicy: ClusterFirstWithHostNet
{{- end }}
{{- with $m.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with include "kruise.pullSecrets" . | trim }}
{{ . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- with $m.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $m.tolerations }}
tolerations:
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end }}

{{- define "kruise.managerNodes" -}}
nodeAffinity:
  {{- if .Values.manager.nodeAffinity }}
  {{- toYaml .Values.manager.nodeAffinity | nindent 2 }}
  {{- else }}
  requiredDuringSchedulingIgnoredDuringExecution:
    nodeSelectorTerms:
    - matchExpressions:
      - {key: kubernetes.io/os, operator: In, values: [linux]}
      - {key: kubernetes.io/arch, operator: In, values: [amd64, arm64, arm]}
  {{- end }}
{{- end }}

{{- /* The token of the pod itself: it names the pod, and admission goes by that; it ends with the pod. */}}
{{- define "kruise.tokenVolume" -}}
name: token
projected:
  defaultMode: 0444
  sources:
  - serviceAccountToken: {path: token, expirationSeconds: 3607}
  - configMap:
      name: kube-root-ca.crt
      items: [{key: ca.crt, path: ca.crt}]
  - downwardAPI:
      items: [{path: namespace, fieldRef: {apiVersion: v1, fieldPath: metadata.namespace}}]
{{- end }}
