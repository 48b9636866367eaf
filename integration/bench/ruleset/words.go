package ruleset

// The words that generated rules are written with: what clusters, their providers and the tools around them really use, so
// that literals differ in length and beginning as they do in rules that people write.

var (
	coreResources = []string{
		"secrets", "configmaps", "serviceaccounts", "namespaces", "nodes", "services", "endpoints", "persistentvolumes",
		"persistentvolumeclaims", "events", "replicationcontrollers", "resourcequotas", "limitranges", "podtemplates",
	}
	rbacResources = []string{"roles", "clusterroles", "rolebindings", "clusterrolebindings"}
	// Resources of named groups, by group.
	groupedResources = []struct {
		group     string
		resources []string
	}{
		{"apps", []string{"deployments", "daemonsets", "statefulsets", "replicasets", "controllerrevisions"}},
		{"batch", []string{"jobs", "cronjobs"}},
		{"rbac.authorization.k8s.io", rbacResources},
		{"admissionregistration.k8s.io", []string{
			"mutatingwebhookconfigurations", "validatingwebhookconfigurations", "validatingadmissionpolicies", "validatingadmissionpolicybindings",
		}},
		{"certificates.k8s.io", []string{"certificatesigningrequests", "clustertrustbundles"}},
		{"networking.k8s.io", []string{"networkpolicies", "ingresses", "ingressclasses", "ipaddresses", "servicecidrs"}},
		{"policy", []string{"poddisruptionbudgets", "podsecuritypolicies"}},
		{"storage.k8s.io", []string{"storageclasses", "csidrivers", "csinodes", "volumeattachments"}},
		{"apiextensions.k8s.io", []string{"customresourcedefinitions"}},
		{"apiregistration.k8s.io", []string{"apiservices"}},
		{"authentication.k8s.io", []string{"tokenreviews", "selfsubjectreviews"}},
		{"authorization.k8s.io", []string{"selfsubjectaccessreviews", "selfsubjectrulesreviews", "subjectaccessreviews"}},
		{"scheduling.k8s.io", []string{"priorityclasses"}},
		{"node.k8s.io", []string{"runtimeclasses"}},
		{"discovery.k8s.io", []string{"endpointslices"}},
		{"autoscaling", []string{"horizontalpodautoscalers"}},
		{"flowcontrol.apiserver.k8s.io", []string{"flowschemas", "prioritylevelconfigurations"}},
		{"cilium.io", []string{"ciliumnetworkpolicies", "ciliumclusterwidenetworkpolicies"}},
		{"crd.projectcalico.org", []string{"globalnetworkpolicies", "networkpolicies", "hostendpoints"}},
		{"argoproj.io", []string{"applications", "appprojects", "workflows", "cronworkflows"}},
		{"kyverno.io", []string{"policies", "clusterpolicies", "policyexceptions"}},
		{"templates.gatekeeper.sh", []string{"constrainttemplates"}},
		{"cert-manager.io", []string{"certificates", "clusterissuers", "issuers"}},
		{"external-secrets.io", []string{"externalsecrets", "secretstores", "clustersecretstores"}},
	}
	// Sets of verbs, as often as the catalogue's conditions name them.
	verbSets = [][]string{
		{"create", "update", "patch"}, {"create", "update", "patch"}, {"create", "update", "patch"}, {"create", "update", "patch"},
		{"create"}, {"create"}, {"create"}, {"create"},
		{"create", "update", "patch", "delete"}, {"create", "update", "patch", "delete"},
		{"delete", "deletecollection"}, {"delete", "deletecollection"}, {"delete"},
		{"update", "patch"}, {"patch"},
		{"get", "list"}, {"get", "list"}, {"get"}, {"list", "watch"}, {"list"},
	}
	podSubresources = []string{"exec", "exec", "exec", "exec", "exec", "attach", "portforward", "ephemeralcontainers", "proxy", "log"}

	systemNamespaces = []string{
		"kube-system", "kube-public", "kube-node-lease", "calico-system", "tigera-operator", "gatekeeper-system", "gmp-system",
		"amazon-cloudwatch", "amazon-guardduty", "config-management-system", "aks-command", "gke-managed-system", "openshift-operators",
	}
	namespaces = []string{
		"argocd", "flux-system", "cert-manager", "ingress-nginx", "istio-system", "monitoring", "logging", "vault", "external-secrets",
		"velero", "kubeflow", "kubernetes-dashboard", "cattle-system", "longhorn-system", "rook-ceph", "keda", "knative-serving",
		"gitlab-runner", "jenkins", "tekton-pipelines", "actions-runner-system", "prod", "production", "staging", "billing", "identity",
		"data-platform", "airflow", "spark-operator", "kafka", "postgres-operator", "minio", "sealed-secrets", "crossplane-system",
		"azure-arc", "azure-arc-release", "falco", "datadog", "sysdig-agent", "crowdstrike", "linkerd", "consul", "harbor",
	}
	people = []string{
		"admin", "kubernetes-admin", "cluster-admin", "minikube-user", "masterclient", "system:admin", "ops@example.com",
		"oncall@example.com", "platform-admin", "breakglass", "terraform", "jenkins-deployer", "gitlab-ci", "spinnaker", "backup-operator",
		"arn:aws:iam::111122223333:role/Admin", "arn:aws:iam::111122223333:role/Deploy", "sre@example.net", "contractor@example.org",
	}
	components = []string{
		"system:apiserver", "system:kube-controller-manager", "system:kube-scheduler", "system:kube-proxy", "system:addon-manager",
		"system:gcp-controller-manager", "system:cluster-autoscaler", "eks:node-manager", "eks:addon-manager", "eks:kms-storage-migrator",
		"eks:certificate-controller", "aksService", "aksProblemDetector", "system:vpa-recommender", "system:glbc",
	}
	userPrefixes = []string{
		"system:node:", "system:serviceaccount:kube-system:", "system:serviceaccount:argocd:", "system:serviceaccount:flux-system:",
		"system:serviceaccount:cert-manager:", "system:serviceaccount:velero:", "system:serviceaccount:azure-arc:", "system:bootstrap:",
		"system:serviceaccount:openshift-", "system:gke-", "eks:", "aks-", "arn:aws:sts::", "system:serviceaccount:tekton-pipelines:",
	}
	accounts = []string{
		"argocd-application-controller", "argocd-server", "kustomize-controller", "helm-controller", "source-controller", "rancher",
		"velero", "vault", "external-secrets", "cert-manager", "cert-manager-cainjector", "ingress-nginx", "prometheus-k8s",
		"kube-state-metrics", "cluster-autoscaler", "karpenter", "aws-load-balancer-controller", "ebs-csi-controller-sa", "azure-policy",
		"gatekeeper-admin", "kyverno-admission-controller", "sealed-secrets", "gitlab-runner", "jenkins", "spark-operator", "default",
	}
	controllers = []string{
		"replicaset-controller", "deployment-controller", "daemon-set-controller", "statefulset-controller", "job-controller",
		"cronjob-controller", "generic-garbage-collector", "namespace-controller", "clusterrole-aggregation-controller",
		"node-controller", "endpoint-controller", "persistent-volume-binder", "resourcequota-controller", "service-account-controller",
	}
	groups = []string{
		"system:masters", "cluster-admins", "system:cluster-admins", "kubeadm:cluster-admins", "platform-admins", "sre", "developers-external",
		"contractors", "system:bootstrappers", "break-glass", "read-only-auditors", "ci-deployers",
	}
	tools = []string{
		"curl/", "Wget/", "python-requests/", "python-urllib", "aiohttp/", "Go-http-client/1.1", "PostmanRuntime/", "axios/", "node-fetch/",
		"okhttp/", "Apache-HttpClient/", "HTTPie/", "libwww-perl/", "Ruby", "GuzzleHttp/", "RestSharp/", "undici", "Java/", "PHP/",
	}
	scanners = []string{
		"access_matrix", "rakkess", "trufflehog", "azurehound", "micro-scanner", "kube-hunter", "kubescape", "peirates", "kdigger",
		"kubesploit", "kubeletctl", "deepce", "amicontained", "botb", "cdk_linux", "kali-amd64", "kali-arm64", "distrib#kali", "masscan",
		"zgrab", "nuclei", "nmap", "metasploit", "sqlmap", "gobuster", "nikto", "feroxbuster",
	}
	images = []string{
		"aquasec/kube-hunter", "aquasec/kube-bench", "xmrig/xmrig", "kalilinux/kali-rolling", "metasploitframework/metasploit-framework",
		"alpine/socat", "nicolaka/netshoot", "rancher/busybox", "madhuakula/hacker-container", "raesene/alpine-containertools",
		"quay.io/kinvolk/debug", "library/docker", "library/busybox", "gcr.io/kaniko-project/executor", "ubuntu/squid", "linuxserver/wireguard",
	}
	registries = []string{
		"ghcr.io", "quay.io", "gcr.io", "registry.k8s.io", "mcr.microsoft.com", "public.ecr.aws", "docker.elastic.co", "registry.gitlab.com",
		"k8s.gcr.io", "us-docker.pkg.dev", "icr.io", "registry.access.redhat.com", "ttl.sh", "docker.io", "nvcr.io",
	}
	miners = []string{
		"xmrig", "xmr-stak", "minerd", "cpuminer", "ethminer", "t-rex", "nbminer", "phoenixminer", "cryptonight", "randomx", "stratum+tcp",
		"--donate-level", "monero", "minexmr", "supportxmr", "nanopool", "2miners",
	}
	shells = []string{
		"/bin/sh", "/bin/bash", "/bin/ash", "/bin/dash", "/bin/zsh", "/bin/busybox", "%2fbin%2fsh", "%2fbin%2fbash", "/usr/bin/curl",
		"/usr/bin/wget", "/usr/bin/python", "/usr/bin/perl", "/usr/bin/kubectl", "%2fusr%2fbin%2fcurl", "command=nsenter", "command=chroot",
		"command=nc", "command=socat", "command=tcpdump", "command=crictl", "command=ctr",
	}
	secretsFiles = []string{
		"/var/run/secrets/", "/etc/kubernetes/", "/var/lib/kubelet/", "/etc/shadow", "/etc/sudoers", "/.ssh/", "/.aws/", "/.azure/", "/.kube/",
		"/.config/gcloud", ".pem", ".p12", ".jks", ".keystore", "/proc/1/environ", "169.254.169.254", "metadata.google.internal",
		"latest/meta-data", "computeMetadata/v1", "security-credentials",
	}
	commandPatterns = []string{
		`(?i)\b(nc|ncat|netcat)\b.*-[ec]\b`, `/dev/(tcp|udp)/[0-9a-z.]+/[0-9]+`, `(?i)python[0-9.]* -c .*socket.*connect`,
		`(?i)perl -.*IO::Socket::INET`, `mkfifo /tmp/[a-z]+`, `socat .*(exec|pty)`, `bash -i .*>&`, `(curl|wget) .*https://`,
		`\btar\b.* -?c[a-z]*f? -`, `(?i)base64 (-d|--decode)`, `(?i)chattr -i`, `nsenter .*(-t|--target) 1\b`, `(?i)(useradd|adduser) `,
		`iptables -[FDX]`, `mount .*/dev/(sd|nvme|xvd)`, `(?i)ruby .*TCPSocket\.new`, `php -r .*fsockopen`, `crontab -`,
	}
	hostPaths = []string{
		"/etc", "/etc/kubernetes", "/root", "/home", "/proc", "/sys", "/boot", "/dev", "/var/lib", "/var/lib/kubelet", "/var/lib/docker",
		"/var/lib/containerd", "/var/lib/etcd", "/var/log", "/var/run/docker.sock", "/run/containerd/containerd.sock", "/run/crio/crio.sock",
		"/opt/cni/bin", "/usr/local/bin", "/mnt", "/srv", "/var/spool/cron", "/lib/modules", "/usr/src",
	}
	capabilities = []string{
		"ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO", "SYS_BOOT", "SYSLOG", "DAC_READ_SEARCH", "NET_ADMIN", "NET_RAW", "BPF",
		"PERFMON", "MKNOD", "CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_NET_RAW", "SYS_TIME", "SYS_NICE", "AUDIT_CONTROL", "MAC_ADMIN", "WAKE_ALARM",
	}
	roles = []string{
		"cluster-admin", "admin", "edit", "system:kube-controller-manager", "system:kube-scheduler", "system:node",
		"system:controller:clusterrole-aggregation-controller", "system:auth-delegator", "system:node-proxier", "argocd-server",
		"system:persistent-volume-provisioner", "tiller", "velero", "gatekeeper-manager-role", "system:aggregate-to-admin",
	}
	roleVerbs     = []string{"escalate", "bind", "impersonate", "deletecollection", "approve", "sign", "attest", "use", "proxy"}
	roleResources = []string{
		"pods/exec", "pods/attach", "pods/ephemeralcontainers", "nodes/proxy", "serviceaccounts/token", "secrets", "clusterroles",
		"mutatingwebhookconfigurations", "certificatesigningrequests/approval", "persistentvolumes", "pods/portforward", "nodes/*", "pods/*",
	}
	objectNames = []string{
		"aws-auth", "coredns", "kube-dns", "coredns-custom", "node-local-dns", "kubeadm-config", "cluster-info", "kube-proxy", "extension-apiserver-authentication",
		"admin-token", "bootstrap-token", "vault-unseal-keys", "argocd-secret", "argocd-cm", "grafana", "kubernetes-dashboard-key-holder",
		"cloud-config", "azure-cloud-provider", "registry-credentials", "sh.helm.release.v1", "istio-ca-secret", "linkerd-identity-issuer",
		"velero-credentials", "cluster-admin", "system:masters", "kube-apiserver", "etcd", "konnectivity-agent", "metrics-server",
	}
	networks = []string{
		"185.220.100.0/22", "45.154.255.0/24", "171.25.193.0/24", "198.98.48.0/20", "104.244.72.0/21", "23.129.64.0/24", "162.247.72.0/22",
		"192.42.116.0/22", "199.249.230.0/24", "2a0b:f4c0::/32", "2620:7:6000::/48", "203.0.113.0/24", "198.51.100.0/24", "89.234.157.0/24",
		"5.2.64.0/20", "37.187.0.0/16", "94.102.48.0/20", "109.70.100.0/24",
	}
	uriPrefixes = []string{
		"/api/v1/namespaces/kube-system/secrets/", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/", "/api/v1/nodes/",
		"/logs/", "/debug/pprof/", "/metrics/", "/api/v1/proxy/", "/apis/certificates.k8s.io/v1/certificatesigningrequests/",
		"/swaggerapi", "/api/v1/namespaces/argocd/secrets/", "/apis/external-secrets.io/", "/apis/velero.io/v1/", "/run/", "/exec/",
	}
	uriParts = []string{
		"/proxy/run/", "/proxy/exec/", "/proxy/containerLogs/", "fieldSelector=spec.nodeName", "labelSelector=owner%3Dhelm", "dryRun=All",
		"fieldManager=metasploit", "/serviceproxy/", "limit=100000", "/portforward?ports=22", "/proxy/pods", "fieldManager=kubectl-edit",
	}
	reasons = []string{
		"cluster-admins-external", "emergency-access", "system:discovery-anonymous", "legacy-tiller", "permissive-binding", "dashboard-admin",
		"kubeflow-admin", "jenkins-admin", "default-admin", "gitlab-admin",
	}
	serviceTypes = []string{"NodePort", "LoadBalancer", "ExternalName"}
	configWords  = []string{
		"aws_access_key_id", "aws-access-key-id", "aws_s3_access_key_id", "passphrase", "BEGIN PRIVATE KEY", "BEGIN RSA PRIVATE KEY", "ghp_", "xoxb-", "AKIA",
	}
	signers = []string{
		"kubernetes.io/kube-apiserver-client", "kubernetes.io/legacy-unknown", "kubernetes.io/kube-apiserver-client-kubelet",
		"beta.eks.amazonaws.com/app-serving",
	}
	annotationKeys = []string{
		"image-policy.k8s.io/break-glass", "seccomp.security.alpha.kubernetes.io/pod", "container.apparmor.security.beta.kubernetes.io/app",
		"kubernetes.io/config.mirror", "sidecar.istio.io/inject", "scheduler.alpha.kubernetes.io/tolerations", "eks.amazonaws.com/role-arn",
		"iam.gke.io/gcp-service-account", "azure.workload.identity/use", "cluster-autoscaler.kubernetes.io/safe-to-evict",
	}
)
