{{/* What web, setup and cron share: each assembles its own /var/www/html around the one wp-content volume. */}}

{{- define "store.code" -}}
{{- range $path, $_ := .Files.Glob "files/wordpress/*.php" }}
{{- if or $.Values.mail.host (ne (base $path) "storeyard-mail.php") }}
{{ base $path }}: {{ $.Files.Get $path | toJson }}
{{- end }}
{{- end }}
{{- range $path, $_ := .Files.Glob "files/scripts/*" }}
{{ base $path }}: {{ $.Files.Get $path | toJson }}
{{- end }}
cli.ini: {{ .Files.Get "files/php/cli.ini" | toJson }}
{{- end }}

{{- define "store.apache" -}}
ports.conf: {{ tpl (.Files.Get "files/apache/ports.conf") . | toJson }}
vhost.conf: {{ .Files.Get "files/apache/vhost.conf" | toJson }}
web.ini: {{ .Files.Get "files/php/web.ini" | toJson }}
live.php: {{ .Files.Get "files/health/live.php" | toJson }}
ready.php: {{ .Files.Get "files/health/ready.php" | toJson }}
{{- end }}

{{- define "store.mail" -}}
host: {{ .Values.mail.host | toJson }}
port: {{ .Values.mail.port | toString | toJson }}
encryption: {{ .Values.mail.encryption | toJson }}
from: {{ .Values.mail.from | toJson }}
{{- end }}

{{/* Required on one node: the volume can be attached to one only. */}}
{{- define "store.besideWeb" -}}
affinity:
  podAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels: {{- include "store.selector" (list . "web") | nindent 12 }}
{{- end }}

{{- define "store.env" -}}
- {name: HOME, value: /tmp}
- {name: STORE_DB_HOST, value: {{ .Release.Name }}-db}
{{- end }}

{{- define "store.mounts" -}}
- {name: core, mountPath: /var/www/html}
- {name: content, mountPath: /var/www/html/wp-content}
- {name: tmp, mountPath: /tmp}
- {name: code, mountPath: /opt/storeyard, readOnly: true}
- {name: store, mountPath: /etc/storeyard/store, readOnly: true}
- {name: db-password, mountPath: /etc/storeyard/db, readOnly: true}
- {name: wordpress-secret, mountPath: /etc/storeyard/wordpress, readOnly: true}
{{- if .Values.mail.host }}
- {name: mail, mountPath: /etc/storeyard/mail, readOnly: true}
{{- if .Values.secrets.smtp }}
- {name: smtp-secret, mountPath: /etc/storeyard/smtp, readOnly: true}
{{- end }}
{{- end }}
{{- end }}

{{- define "store.cliMounts" -}}
{{ include "store.mounts" . }}
- {name: code, mountPath: /usr/local/etc/php/conf.d/zz-store.ini, subPath: cli.ini, readOnly: true}
{{- end }}

{{- define "store.volumes" -}}
- name: core
  emptyDir: {sizeLimit: 512Mi}
- name: tmp
  emptyDir: {sizeLimit: 512Mi}
- name: content
  persistentVolumeClaim: {claimName: {{ .Release.Name }}-content}
- name: code
  configMap: {name: {{ .Release.Name }}-code}
- name: store
  configMap: {name: {{ .Release.Name }}-identity}
- name: db-password
  secret:
    secretName: {{ .Values.secrets.db | quote }}
    items: [{key: password, path: password}]
{{- if .Values.mail.host }}
- name: mail
  configMap: {name: {{ .Release.Name }}-mail}
{{- with .Values.secrets.smtp }}
- name: smtp-secret
  secret: {secretName: {{ . | quote }}}
{{- end }}
{{- end }}
{{- end }}

{{/* Only setup sees the administrator's password. Called with (list . "key" ...). */}}
{{- define "store.wordpressSecret" -}}
- name: wordpress-secret
  secret:
    secretName: {{ (index . 0).Values.secrets.wordpress | quote }}
    items:
      {{- range concat (list "auth-key" "secure-auth-key" "logged-in-key" "nonce-key" "auth-salt" "secure-auth-salt" "logged-in-salt" "nonce-salt") (rest .) }}
      - {key: {{ . }}, path: {{ . }}}
      {{- end }}
{{- end }}

{{- define "store.coreCopy" -}}
- name: core-copy
  image: {{ include "store.image" .Values.image }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command: [/bin/sh, /opt/storeyard/core-copy.sh]
  securityContext: {{- include "store.containerSecurity" . | nindent 4 }}
  resources: {{- toYaml .Values.init.resources | nindent 4 }}
  volumeMounts:
    - {name: core, mountPath: /var/www/html}
    - {name: content, mountPath: /var/www/html/wp-content}
    - {name: tmp, mountPath: /tmp}
    - {name: code, mountPath: /opt/storeyard, readOnly: true}
{{- end }}

{{/* Called with (list . seconds). */}}
{{- define "store.waitForDatabase" -}}
{{- $root := index . 0 -}}
- name: wait-for-database
  image: {{ include "store.image" $root.Values.image }}
  imagePullPolicy: {{ $root.Values.image.pullPolicy }}
  command: [php, /opt/storeyard/wait-for-database.php, {{ index . 1 | quote }}]
  env: {{- include "store.env" $root | nindent 4 }}
  securityContext: {{- include "store.containerSecurity" $root | nindent 4 }}
  resources: {{- toYaml $root.Values.init.resources | nindent 4 }}
  volumeMounts:
    - {name: tmp, mountPath: /tmp}
    - {name: code, mountPath: /opt/storeyard, readOnly: true}
    - {name: db-password, mountPath: /etc/storeyard/db, readOnly: true}
{{- end }}
