package ruleset

// Program is the condition of a shipped rule as a CEL expression over the variable event, the event as encoding/json decodes
// it. It is what somebody writes by hand who has CEL and no audit log engine: without exceptions and levels, and where a rule
// judges derived records, over the body as far as an expression can say it.
type Program struct {
	Rule       string // name of the shipped rule
	Expression string
}

// What several expressions begin with.
const (
	celDone  = `(!has(event.responseStatus) || !has(event.responseStatus.code) || event.responseStatus.code < 400)`
	celForms = `!(has(event.requestURI) && event.requestURI.contains('dryRun=All'))`
	celWrite = `event.verb in ['create', 'update', 'patch'] && has(event.objectRef) && has(event.objectRef.resource)`
	// celWho is the identity that the request was made as.
	celWho = `(has(event.impersonatedUser) && has(event.impersonatedUser.username) ? event.impersonatedUser.username : ` +
		`has(event.user) && has(event.user.username) ? event.user.username : '')`
	celWhoGroups = `(has(event.impersonatedUser) ? (has(event.impersonatedUser.groups) ? event.impersonatedUser.groups : []) : ` +
		`has(event.user) && has(event.user.groups) ? event.user.groups : [])`
	celDecision   = `has(event.annotations) && 'authorization.k8s.io/decision' in event.annotations && event.annotations['authorization.k8s.io/decision']`
	celAnonymous  = `(` + celWho + ` in ['', 'system:anonymous', 'system:unauthenticated'] || 'system:unauthenticated' in ` + celWhoGroups + `)`
	celWorkload   = `event.objectRef.resource in ['pods', 'deployments', 'daemonsets', 'statefulsets', 'replicasets', 'replicationcontrollers', 'jobs', 'cronjobs', 'podtemplates']`
	celHasRequest = `has(event.requestObject) && type(event.requestObject) == map`
	celHasBody    = `(` + celHasRequest + ` || has(event.responseObject) && type(event.responseObject) == map)`
	// celObject is the object as it was stored, or else as it was sent.
	celObject = `(has(event.responseObject) && has(event.responseObject.metadata) ? event.responseObject : event.requestObject)`
	// celSpec is the pod spec in the variable object.
	celSpec = `(event.objectRef.resource == 'pods' ? object.spec : event.objectRef.resource == 'cronjobs' ? object.spec.jobTemplate.spec.template.spec : ` +
		`event.objectRef.resource == 'podtemplates' ? object.template.spec : object.spec.template.spec)`
	// celControlled: the built-in controller of the owner's kind wrote it, from a template that was judged before.
	celControlled = `(event.user.username.startsWith('system:serviceaccount:kube-system:') && event.user.username.endsWith('-controller') && ` +
		`has(object.metadata.ownerReferences) && object.metadata.ownerReferences.exists(o, has(o.controller) && o.controller))`
)

// onPodSpec is true for writes of workloads whose pod spec, the variable spec, satisfies an expression.
func onPodSpec(expression string) string {
	return celWrite + ` && ` + celWorkload + ` && (!has(event.objectRef.subresource) || event.objectRef.subresource == 'ephemeralcontainers') && ` +
		celDone + ` && ` + celForms + ` && ` + celHasBody +
		` && cel.bind(object, ` + celObject + `, !` + celControlled + ` && cel.bind(spec, ` + celSpec + `, ` + expression + `))`
}

// onContainer is true for writes of workloads of which any container, the variable c, satisfies an expression.
func onContainer(expression string) string {
	return onPodSpec(`((has(spec.containers) ? spec.containers : []) + (has(spec.initContainers) ? spec.initContainers : []) + ` +
		`(has(spec.ephemeralContainers) ? spec.ephemeralContainers : [])).exists(c, ` + expression + `)`)
}

// onHostPath is true for writes of workloads with a volume whose path on the node, v.hostPath.path, satisfies an expression.
func onHostPath(expression string) string {
	return onPodSpec(`has(spec.volumes) && spec.volumes.exists(v, has(v.hostPath) && has(v.hostPath.path) && ` + expression + `)`)
}

// CEL are the conditions of the shipped rules as programs.
func CEL() []Program {
	return append(requestPrograms(), bodyPrograms()...)
}

func requestPrograms() []Program {
	return []Program{
		{"secrets-list-namespace", `event.verb in ['list', 'watch'] && has(event.objectRef) && event.objectRef.resource == 'secrets' &&
			!has(event.objectRef.apiGroup) && has(event.objectRef.namespace) && ` + celDone + ` && (event.verb == 'list' ||
			((event.requestURI.matches('[?&]watch=') || event.requestURI.startsWith('/api/v1/watch/')) &&
			(event.requestURI.contains('sendInitialEvents=') || !event.requestURI.matches('[?&]resourceVersion=[1-9][0-9]*(&|$)'))))`},
		{"denied-serviceaccount-request", `has(event.user) && has(event.user.username) && event.user.username.startsWith('system:serviceaccount:') &&
			has(event.responseStatus) && has(event.responseStatus.code) && event.responseStatus.code in [401, 403]`},
		{"self-subject-review", `event.verb == 'create' && has(event.objectRef) && has(event.objectRef.apiGroup) && event.objectRef.apiGroup == 'authorization.k8s.io' &&
			event.objectRef.resource in ['selfsubjectrulesreviews', 'selfsubjectaccessreviews'] && ` + celDone + ` &&
			(` + celWho + `.startsWith('system:serviceaccount:') || ` + celWho + `.startsWith('system:node:') || (has(event.impersonatedUser) && has(event.impersonatedUser.username)))`},
		{"pod-exec", `event.verb in ['create', 'get'] && has(event.objectRef) && has(event.objectRef.subresource) && event.objectRef.subresource == 'exec' &&
			event.objectRef.resource == 'pods' && !(` + celDecision + ` == 'forbid') && ` + celDone},
		{"anonymous-request-allowed", celAnonymous + ` && ` + celDecision + ` == 'allow' &&
			!(has(event.responseStatus) && has(event.responseStatus.code) && event.responseStatus.code in [401, 403])`},
		{"anonymous-request-attempt", celAnonymous + ` && !(` + celDecision + ` == 'allow' &&
			has(event.responseStatus) && has(event.responseStatus.code) && event.responseStatus.code < 400)`},
		{"nodeport-service", celWrite + ` && event.objectRef.resource == 'services' && !has(event.objectRef.apiGroup) && !has(event.objectRef.subresource) && ` +
			celDone + ` && ` + celForms + ` && has(event.requestObject) && (type(event.requestObject) == map ?
			has(event.requestObject.spec) && has(event.requestObject.spec.type) && event.requestObject.spec.type == 'NodePort' :
			event.requestObject.exists(p, has(p.value) && (p.path == '/spec/type' && p.value == 'NodePort' || p.path == '/spec' && p.value.type == 'NodePort')))`},
		{"controller-pod-without-owner", `event.verb == 'create' && has(event.objectRef) && event.objectRef.resource == 'pods' && !has(event.objectRef.subresource) && ` +
			celDone + ` && ` + celForms + ` && ` + celWho + ` in ['system:serviceaccount:kube-system:replicaset-controller', 'system:serviceaccount:kube-system:daemon-set-controller',
			'system:serviceaccount:kube-system:statefulset-controller', 'system:serviceaccount:kube-system:job-controller', 'system:serviceaccount:kube-system:replication-controller'] &&
			` + celHasBody + ` && cel.bind(object, ` + celObject + `, !` + celControlled + `)`},
		{"pod-in-system-namespace", celWrite + ` && ` + celWorkload + ` && !has(event.objectRef.subresource) && ` + celDone + ` && ` + celForms + ` &&
			(event.verb == 'create' || has(event.responseStatus) && has(event.responseStatus.code) && event.responseStatus.code == 201) &&
			has(event.objectRef.namespace) && event.objectRef.namespace in [` + celSystemNamespaces + `] &&
			!(event.user.username in ['system:apiserver', 'system:kube-controller-manager', 'system:kube-scheduler', 'system:addon-manager', 'system:gcp-controller-manager',
			'system:gke-common-webhooks', 'eks:addon-manager', 'eks:cluster-bootstrap', 'eks:node-manager', 'aksService']) && ` + celHasBody + ` &&
			cel.bind(object, ` + celObject + `, !` + celControlled + ` && !(event.user.username.startsWith('system:node:') && event.objectRef.resource == 'pods' &&
			has(object.metadata.annotations) && 'kubernetes.io/config.mirror' in object.metadata.annotations))`},
	}
}

func bodyPrograms() []Program {
	return []Program{
		{"unusual-image", onContainer(`has(c.image) && (c.image.matches(r'` + celMiner + `') || c.image.matches(r'` + celTunnel + `') ||
			c.image.matches(r'` + celAddress + `') && !c.image.matches(r'` + celLoopback + `') || c.image.matches(r'` + celPrefixed + `') ||
			c.image.matches(r'^([^/]*\.)?xn--') || c.image.matches(r'` + celLookAlike + `') && !c.image.matches(r'^docker\.(io(:443)?|com)/'))`)},
		{"binding-default-serviceaccount", celWrite + ` && event.objectRef.resource in ['rolebindings', 'clusterrolebindings'] && ` + celDone + ` && ` + celForms + ` && ` + celHasBody + `
			&& cel.bind(object, ` + celObject + `, has(object.roleRef) && (object.roleRef.name in ['cluster-admin', 'admin', 'edit', 'view'] || object.roleRef.kind == 'ClusterRole' &&
			object.roleRef.name.matches('^system:(aggregate-to-(admin|edit|view)|controller:.+|node|kubelet-api-admin|kube-controller-manager|kube-scheduler|persistent-volume-provisioner)$')) &&
			has(object.subjects) && object.subjects.exists(s, s.kind == 'ServiceAccount' && s.name == 'default' ||
			s.kind == 'User' && s.name.matches('^system:serviceaccount:[^:]*:default$') || s.kind == 'Group' && s.name.matches('^system:serviceaccounts(:.*)?$')))`},
		{"any-hostpath", onHostPath(`true`)},
		{"sensitive-hostpath", onHostPath(`(v.hostPath.path.matches(r'` + celTree + `') || v.hostPath.path.matches(r'` + celSocket + `') ||
			v.hostPath.path in ['/', '/var', '/var/lib', '/var/run', '/run', '/var/spool', '/opt', '/opt/cni', '/usr', '/usr/local', '/lib', '/lib64']) &&
			!v.hostPath.path.matches(r'` + celHarmless + `')`)},
		{"host-pid", onPodSpec(`has(spec.hostPID) && spec.hostPID`)},
		{"host-ipc", onPodSpec(`has(spec.hostIPC) && spec.hostIPC`)},
		{"host-network", onPodSpec(`has(spec.hostNetwork) && spec.hostNetwork`)},
		{"controller-serviceaccount-on-pod", onPodSpec(`has(event.objectRef.namespace) && event.objectRef.namespace == 'kube-system' &&
			(has(spec.serviceAccountName) ? spec.serviceAccountName : has(spec.serviceAccount) ? spec.serviceAccount : '') in [` + celControllers + `]`)},
		{"privileged-container", onContainer(`has(c.securityContext) && (has(c.securityContext.privileged) && c.securityContext.privileged ||
			has(c.securityContext.windowsOptions) && has(c.securityContext.windowsOptions.hostProcess) && c.securityContext.windowsOptions.hostProcess)`)},
		{"dangerous-capabilities", onContainer(`has(c.securityContext) && has(c.securityContext.capabilities) && has(c.securityContext.capabilities.add) &&
			c.securityContext.capabilities.add.exists(a, a in ['ALL', 'SYS_ADMIN', 'SYS_MODULE', 'SYS_PTRACE', 'SYS_RAWIO', 'SYS_BOOT', 'SYSLOG', 'DAC_READ_SEARCH', 'NET_ADMIN', 'NET_RAW',
			'BPF', 'PERFMON', 'MKNOD', 'DAC_OVERRIDE', 'SYS_CHROOT', 'CAP_ALL', 'CAP_SYS_ADMIN', 'CAP_SYS_MODULE', 'CAP_SYS_PTRACE', 'CAP_SYS_RAWIO', 'CAP_SYS_BOOT', 'CAP_SYSLOG',
			'CAP_DAC_READ_SEARCH', 'CAP_NET_ADMIN', 'CAP_NET_RAW', 'CAP_BPF', 'CAP_PERFMON', 'CAP_MKNOD', 'CAP_DAC_OVERRIDE', 'CAP_SYS_CHROOT'])`)},
	}
}
