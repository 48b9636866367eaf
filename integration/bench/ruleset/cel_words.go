package ruleset

// Lists and regular expressions of the programs, over whole images and paths.
const (
	celSystemNamespaces = `
	'kube-system', 'kube-public', 'kube-node-lease', 'amazon-cloudwatch', 'amazon-guardduty', 'amazon-vpc-cni', 'gke-system',
	'gke-connect', 'gke-gmp-system', 'gke-managed-system', 'gke-managed-cim', 'gke-mcs', 'gmp-system', 'gmp-public',
	'gke-managed-filestorecsi', 'gke-managed-parallelstorecsi', 'gke-managed-volumepopulator',
	'gke-managed-networking-dra-driver', 'config-management-system', 'calico-system', 'tigera-operator', 'gatekeeper-system',
	'aks-command'`
	celControllers = `
	'attachdetach-controller', 'bootstrap-signer', 'certificate-controller', 'clusterrole-aggregation-controller',
	'cronjob-controller', 'daemon-set-controller', 'deployment-controller', 'device-taint-eviction-controller',
	'disruption-controller', 'endpoint-controller', 'endpointslice-controller', 'endpointslicemirroring-controller',
	'ephemeral-volume-controller', 'expand-controller', 'generic-garbage-collector', 'horizontal-pod-autoscaler',
	'job-controller', 'legacy-service-account-token-cleaner', 'namespace-controller', 'node-controller',
	'node-ipam-controller', 'persistent-volume-binder', 'pod-garbage-collector', 'pv-protection-controller',
	'pvc-protection-controller', 'replicaset-controller', 'replication-controller', 'resource-claim-controller',
	'resourcequota-controller', 'root-ca-cert-publisher', 'route-controller', 'selinux-warning-controller',
	'service-account-controller', 'service-cidrs-controller', 'service-controller', 'statefulset-controller',
	'storage-version-migrator-controller', 'taint-eviction-controller', 'token-cleaner',
	'ttl-after-finished-controller', 'ttl-controller', 'validatingadmissionpolicy-status-controller',
	'volumeattributesclass-protection-controller', 'cloud-provider', 'cloud-controller-manager'`
	celMiner     = `(?i)(^|[/_.-])(xmrig|xmr-?stak|xmr|monero(-?miner|-?ocean)?|minerd|cpuminer|ccminer|ethminer|nbminer|lolminer|gminer|phoenixminer|teamredminer|srbminer(-multi)?|t-rex-miner|bfgminer|cgminer|nicehash|minergate|moneroocean|kinsing|coinhive|cryptonight|randomx|crypto-?miner|coin-?miner|monero-?cpu-?miner|nanominer|wildrig|bminer|claymore|lukminer|sgminer|xmrcc|c3pool|minexmr|nanopool|supportxmr|unmineable|verthashminer|trex-?miner|(btc|bitcoin|eth|ethereum|xmr|doge|ltc|litecoin|rvn|gpu|cpu)-?miner)([/_.:@-]|$)`
	celTunnel    = `^([^/]*\.)?(ngrok\.io|ngrok\.app|ngrok-free\.(app|dev)|trycloudflare\.com|loca\.lt|localtunnel\.me|serveo\.net|pagekite\.me|localhost\.run|lhr\.life|bore\.pub|ttl\.sh|duckdns\.org|nip\.io|sslip\.io|xip\.io|zrok\.io|pinggy\.(io|link)|localto\.net|tunnelmole\.net|devtunnels\.ms|ddns\.net|hopto\.org|zapto\.org|sytes\.net|no-ip\.(org|com|biz)|dynu\.net)(:[0-9]+)?/`
	celAddress   = `^(\[[0-9a-f:.%]+\]|(0x[0-9a-f]+|[0-9]+)(\.(0x[0-9a-f]+|[0-9]+)){0,3})(:[0-9]+)?/`
	celLoopback  = `^(127\.[0-9]+\.[0-9]+\.[0-9]+|\[::1\])(:[0-9]+)?/`
	celPrefixed  = `^((docker|registry-1\.docker|registry\.k8s|k8s\.gcr|quay|ghcr|gcr)\.io|mcr\.microsoft\.com|public\.ecr\.aws)[.-][a-z0-9.-]+(:[0-9]+)?/`
	celLookAlike = `^((docker|dockr|dokcer|docer|d0cker|dockerhub|docker-hub|docker-io|registry-docker)\.(io|com|co|lo|cm|org|net|dev|app|xyz|top)|(quay|qauy|quey|quay-io)\.(lo|co|com|net|org|dev|app|i0|xyz)|qauy\.io|(ghrc|gchr|ghcr-io|ghrcr|gchcr)\.(io|com|dev)|ghcr\.(lo|co|com|net|i0)|(grc|gcr-io|gcrr|gccr)\.(io|com|dev)|gcr\.(lo|co|com|net|i0)|k8s\.grc\.io|(registry\.)?(k8|k8s-io|kubernetes-io|k8ss)\.(io|com|dev)|registry\.k8s\.(lo|com|co|net|dev)|mcr\.(microsft|micorsoft|microsoft-com|rnicrosoft)\.com)(:[0-9]+)?/`
	celTree      = `^/(etc|root|home|proc|boot|dev|sys|bin|sbin|usr/(local/)?s?bin|usr/lib/systemd|lib/systemd|opt/cni/bin|var/log|var/spool/cron|var/lib/(kubelet|docker|containers|containerd|etcd|cni|rancher|k0s|minikube|cloud)|var/snap/microk8s)(/.*)?$`
	celSocket    = `^(/var)?/run/(.*/)?(docker|crio|cri-dockerd|dockershim|containerd|podman)\.sock$`
	celHarmless  = `^(/etc/(localtime|timezone|os-release|machine-id)|/dev/(null|zero|full|random|urandom|fuse|kvm|shm|snd|dri|kfd|nvidia[0-9a-z-]*|infiniband|hugepages|net/tun|ttyUSB[0-9]+|ttyACM[0-9]+|video[0-9]+)(/.*)?)$`
)
