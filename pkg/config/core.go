package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/foretop/foretop/pkg/checkpoint"
)

// Core are the settings of the service itself, under FORETOP_. Those of sources and sinks stand in their
// packages.
type Core struct {
	Sources        []string `envconfig:"SOURCES" desc:"names of the sources, where there are several; with one source it can be left out, and the variables of its type say which it is"`
	Sinks          []string `envconfig:"SINKS" default:"elasticsearch" desc:"where findings go: elasticsearch, ndjson, kafka; each finding goes to all of them"`
	DeadLetters    string   `envconfig:"DEAD_LETTERS" default:"file" desc:"where items go that cannot be judged: file, kafka or elasticsearch"`
	DeadLetterPath string   `envconfig:"DEAD_LETTERS_PATH" desc:"file of the dead letters; default is dead-letters.ndjson in the state directory"`
	// DeadLetterTopic is read with DeadLetters = kafka only.
	DeadLetterTopic string `envconfig:"DEAD_LETTERS_TOPIC" desc:"topic of the dead letters, with FORETOP_DEAD_LETTERS=kafka; the brokers are those of FORETOP_SINK_KAFKA_*"`

	Rules            []string      `envconfig:"RULES" desc:"directories with Sigma rules of your own, read beside the built-in ones"`
	NoBuiltin        bool          `envconfig:"NO_BUILTIN" default:"false" desc:"leaves the built-in rules out"`
	Placeholders     string        `envconfig:"PLACEHOLDERS" desc:"YAML file with the site's lists for %name% in rules: a mapping of names to lists of values"`
	MinLevel         string        `envconfig:"MIN_LEVEL" default:"low" desc:"findings below this level are left out: informational, low, medium, high, critical"`
	SkipInvalidRules bool          `envconfig:"SKIP_INVALID_RULES" default:"false" desc:"starts with the valid rules when some are invalid, and counts the others"`
	ReloadInterval   time.Duration `envconfig:"RELOAD_INTERVAL" default:"30s" desc:"time between two looks at the rule directories and the GeoIP files for changes; 0s turns reloading off"`

	Workers      int           `envconfig:"WORKERS" default:"0" desc:"goroutines that judge; 0 means one for each processor"`
	Budget       Bytes         `envconfig:"BUDGET" default:"64MiB" desc:"bytes of records in flight; when it is used up, sources stop reading"`
	DrainTimeout time.Duration `envconfig:"DRAIN_TIMEOUT" default:"25s" desc:"time to finish what was read after SIGTERM; keep it below terminationGracePeriodSeconds"`
	StateDir     string        `envconfig:"STATE_DIR" default:"/var/lib/foretop" desc:"directory for positions of files and for dead letters"`
	Checkpoints  string        `envconfig:"CHECKPOINTS" default:"file" desc:"where positions are kept of sources that have no broker to keep them (file with FOLLOW, cloudwatch): file is positions.json in the state directory; configmap:NAME or configmap:NAMESPACE/NAME is a ConfigMap of the cluster that this pod runs in, for one replica without a volume, with the rights get and patch"`

	ClusterID      string            `envconfig:"CLUSTER_ID" desc:"globally unique id of the watched cluster, if all sources watch the same one; default is its name"`
	ClusterName    string            `envconfig:"CLUSTER_NAME" desc:"name of the watched cluster, if all sources watch the same one"`
	TrustedProxies []netip.Prefix    `envconfig:"TRUSTED_PROXIES" desc:"networks (CIDR) of proxies in front of API servers, whose X-Forwarded-For is believed; default is loopback, and 172.31.0.0/16 for AKS"`
	GeoIPCity      string            `envconfig:"GEOIP_CITY" desc:"MaxMind DB file (GeoLite2 City or Country, or of their form) that says where public client addresses are; it is read into memory, and again when it is replaced"`
	GeoIPASN       string            `envconfig:"GEOIP_ASN" desc:"MaxMind DB file (GeoLite2 ASN, or of its form) that says whose network public client addresses are of; it is read into memory, and again when it is replaced"`
	Namespace      string            `envconfig:"NAMESPACE" default:"default" desc:"namespace of the data streams: logs-foretop.findings-NAMESPACE"`
	Labels         map[string]string `envconfig:"LABELS" desc:"labels on every finding, as team:platform,tier:1"`
	IncludeBodies  bool              `envconfig:"INCLUDE_BODIES" default:"false" desc:"adds the redacted request and response bodies to findings"`

	AdminAddress string `envconfig:"ADMIN_ADDRESS" default:"127.0.0.1:9464" desc:"address of /metrics, /healthz and /readyz; empty host means all interfaces"`
	AdminPprof   bool   `envconfig:"ADMIN_PPROF" default:"false" desc:"serves /debug/pprof/ on the admin address too; it shows memory contents"`
	LogLevel     string `envconfig:"LOG_LEVEL" default:"info" desc:"debug, info, warn or error"`
	LogFormat    string `envconfig:"LOG_FORMAT" default:"auto" desc:"json, text, or auto: text on a terminal, else json"`
}

// Levels are the names of Sigma's levels, in ascending order.
var Levels = []string{"informational", "low", "medium", "high", "critical"}

// The Elasticsearch rules for the namespace of a data stream: lower case, at most 100 bytes, no dash.
// https://www.elastic.co/docs/reference/ecs/ecs-data_stream
var dataStreamNamespace = regexp.MustCompile(`^[a-z0-9_.]{1,100}$`)

// Validate says everything that is wrong.
func (c *Core) Validate() error {
	problems := []error{
		checkpoints(c.Checkpoints),
		oneOf("SINKS", []string{"elasticsearch", "ndjson", "kafka"}, c.Sinks...),
		oneOf("DEAD_LETTERS", []string{"file", "kafka", "elasticsearch"}, c.DeadLetters),
		oneOf("MIN_LEVEL", Levels, c.MinLevel),
		oneOf("LOG_LEVEL", []string{"debug", "info", "warn", "error"}, c.LogLevel),
		oneOf("LOG_FORMAT", []string{"auto", "json", "text"}, c.LogFormat),
		unique("SOURCES", c.Sources),
		names("SOURCES", c.Sources),
		unique("SINKS", c.Sinks),
	}
	reject := func(bad bool, name, text string) {
		if bad {
			problems = append(problems, fmt.Errorf("%s %s", name, text))
		}
	}
	_, _, err := net.SplitHostPort(c.AdminAddress)
	reject(err != nil, "ADMIN_ADDRESS", "must be host:port")
	reject(c.Workers < 0 || c.Workers > 1024, "WORKERS", "must be between 0 and 1024")
	reject(c.Budget < 1<<20, "BUDGET", "must be at least 1MiB")
	reject(c.DrainTimeout <= 0, "DRAIN_TIMEOUT", "must be more than 0s")
	reject(c.ReloadInterval < 0, "RELOAD_INTERVAL", "must not be negative")
	reject(c.ReloadInterval > 0 && c.ReloadInterval < time.Second, "RELOAD_INTERVAL", "must be 0s or at least 1s")
	reject(!dataStreamNamespace.MatchString(c.Namespace), "NAMESPACE", "must be 1 to 100 of a-z, 0-9, _ and .")
	reject((c.DeadLetters == "kafka") != (c.DeadLetterTopic != ""), "DEAD_LETTERS_TOPIC", "and DEAD_LETTERS=kafka belong together")
	reject(c.DeadLetters != "file" && c.DeadLetterPath != "", "DEAD_LETTERS_PATH", "has no effect without DEAD_LETTERS=file")
	reject(c.NoBuiltin && len(c.Rules) == 0, "NO_BUILTIN", "leaves no rule at all: name directories in FORETOP_RULES")
	reject(c.ClusterID != "" && c.ClusterName == "", "CLUSTER_ID", "needs a CLUSTER_NAME beside it")
	return errors.Join(problems...)
}

// ConfigMapCheckpoints begins a value of CHECKPOINTS that names a ConfigMap.
const ConfigMapCheckpoints = "configmap:"

func checkpoints(text string) error {
	name, inConfigMap := strings.CutPrefix(text, ConfigMapCheckpoints)
	if !inConfigMap {
		return oneOf("CHECKPOINTS", []string{"file", ConfigMapCheckpoints + "NAME", ConfigMapCheckpoints + "NAMESPACE/NAME"}, text)
	}
	if _, _, err := checkpoint.ParseConfigMap(name); err != nil {
		return fmt.Errorf("CHECKPOINTS: %w", err)
	}
	return nil
}

func oneOf(name string, allowed []string, got ...string) error {
	for _, g := range got {
		if !slices.Contains(allowed, g) {
			return fmt.Errorf("%s knows no %q: write %s", name, g, strings.Join(allowed, ", "))
		}
	}
	return nil
}

// sourceName is what can be part of a variable's name.
var sourceName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

func names(name string, list []string) error {
	for _, entry := range list {
		if !sourceName.MatchString(entry) {
			return fmt.Errorf("%s: %q is no name: write a-z, 0-9 and single dashes", name, entry)
		}
	}
	return nil
}

func unique(name string, list []string) error {
	seen := make(map[string]bool, len(list))
	for _, entry := range list {
		if seen[entry] {
			return fmt.Errorf("%s names %q twice", name, entry)
		}
		seen[entry] = true
	}
	return nil
}
