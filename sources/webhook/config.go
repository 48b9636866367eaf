package webhook

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/foretop/foretop/pkg/config"
)

// Config is what the environment says about one webhook source.
type Config struct {
	Address string `envconfig:"ADDRESS" default:":8443" desc:"address to listen on, as host:port; an empty host means all interfaces"`
	Path    string `envconfig:"PATH" default:"/audit" desc:"path of the URL that API servers post to"`

	TLSCertFile  string        `envconfig:"TLS_CERT_FILE" desc:"PEM file with the server's certificate and its chain; read again when it changes"`
	TLSKeyFile   string        `envconfig:"TLS_KEY_FILE" desc:"PEM file with the key of the server's certificate"`
	ClientCAFile string        `envconfig:"CLIENT_CA_FILE" desc:"PEM file with the CA certificates that sign client certificates, for mutual TLS; read again when it changes. Without CLUSTERS_FILE every certificate that they signed is accepted, so let them sign nothing else"`
	Token        config.Secret `envconfig:"TOKEN" desc:"bearer token of the one cluster that posts here; the cluster is CLUSTER_NAME. A file for it may hold several, one a line, and is read again when it changes. With CLIENT_CA_FILE a certificate is needed too"`
	ClustersFile string        `envconfig:"CLUSTERS_FILE" desc:"YAML file that binds tokens and client certificates to clusters, where several post here; read again when it changes"`

	InsecurePlaintext bool `envconfig:"INSECURE_PLAINTEXT" default:"false" desc:"allows plain HTTP on an address that is not loopback: everybody on the way can read and write audit events"`
	InsecureAnonymous bool `envconfig:"INSECURE_ANONYMOUS" default:"false" desc:"allows that senders prove nothing, on an address that is not loopback: everybody who reaches it can write audit events"`

	MaxBody        config.Bytes `envconfig:"MAX_BODY" default:"16MiB" desc:"longest body; a longer one is answered with 413. API servers send 10MiB at most with --audit-webhook-truncate-enabled, and any size without"`
	MaxInFlight    config.Bytes `envconfig:"MAX_IN_FLIGHT" default:"64MiB" desc:"bytes of bodies in memory that are being read or are not settled; beyond it requests are answered with 429"`
	MaxRequests    int          `envconfig:"MAX_REQUESTS" default:"256" desc:"requests in progress at a time; more are answered with 429. An API server starts up to 10 a second, and each waits until it is settled"`
	MaxConnections int          `envconfig:"MAX_CONNECTIONS" default:"1024" desc:"connections at a time; more wait to be accepted"`

	ReadTimeout   time.Duration `envconfig:"READ_TIMEOUT" default:"10s" desc:"time for a request to arrive in full"`
	SettleTimeout time.Duration `envconfig:"SETTLE_TIMEOUT" default:"20s" desc:"time to wait for the settlement of a request before it is answered with 503; shorter where the request's own timeout asks for it. API servers give up after 30s"`
	DrainTimeout  time.Duration `envconfig:"DRAIN_TIMEOUT" default:"20s" desc:"time to wait at the end for what is not settled"`

	QueueDir   string       `envconfig:"QUEUE_DIR" desc:"directory of a queue on disk: requests are answered when they are in it, so that an outage of the sink does not fill the API servers' buffers. It holds unredacted audit events"`
	QueueBytes config.Bytes `envconfig:"QUEUE_BYTES" default:"1GiB" desc:"size of the queue on disk; when it is full, requests are answered with 429"`

	// TokenFile is the file that Token was read from, if it came from one. It is read again when it changes.
	TokenFile string `ignored:"true"`
}

// SetDefaults fills in what is zero, for configurations that do not come from the environment.
func (c *Config) SetDefaults() {
	def(&c.Address, ":8443")
	def(&c.Path, "/audit")
	def(&c.MaxBody, 16<<20)
	def(&c.MaxInFlight, 64<<20)
	def(&c.MaxRequests, 256)
	def(&c.MaxConnections, 1024)
	def(&c.ReadTimeout, 10*time.Second)
	def(&c.SettleTimeout, 20*time.Second)
	def(&c.DrainTimeout, 20*time.Second)
	def(&c.QueueBytes, 1<<30)
}

func def[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// Validate says everything that is wrong, by the names of the settings. It reads no file.
func (c *Config) Validate() error {
	var problems []error
	reject := func(bad bool, format string, args ...any) {
		if bad {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	host, _, err := net.SplitHostPort(c.Address)
	reject(err != nil, "ADDRESS must be host:port")
	reject(!strings.HasPrefix(c.Path, "/") || strings.ContainsAny(c.Path, "?#%"), "PATH must start with / and hold no ?, # or %%")
	reject((c.TLSCertFile == "") != (c.TLSKeyFile == ""), "TLS_CERT_FILE and TLS_KEY_FILE belong together: set both or none")
	reject(c.ClientCAFile != "" && c.TLSCertFile == "", "CLIENT_CA_FILE has no effect without TLS_CERT_FILE and TLS_KEY_FILE")
	reject(c.ClustersFile != "" && c.Token != "", "TOKEN and CLUSTERS_FILE exclude each other: the file has the tokens of all clusters")
	exposed := err == nil && !loopback(host)
	reject(exposed && c.TLSCertFile == "" && !c.InsecurePlaintext,
		"ADDRESS %s is not loopback, and audit events hold secrets: set TLS_CERT_FILE and TLS_KEY_FILE (or, knowing that everybody on the way can read and forge them, INSECURE_PLAINTEXT=true)", c.Address)
	reject(exposed && !c.authenticates() && !c.InsecureAnonymous,
		"ADDRESS %s is not loopback, and nobody has to prove anything: set TOKEN, CLUSTERS_FILE or CLIENT_CA_FILE (or, knowing that everybody who reaches it can write audit events, INSECURE_ANONYMOUS=true)", c.Address)
	c.validateLimits(reject)
	return errors.Join(problems...)
}

func (c *Config) validateLimits(reject func(bad bool, format string, args ...any)) {
	reject(c.MaxBody < 1<<10 || c.MaxBody > 1<<30, "MAX_BODY must be between 1KiB and 1GiB")
	reject(c.MaxInFlight < c.MaxBody, "MAX_IN_FLIGHT must be at least MAX_BODY")
	reject(c.MaxRequests < 1 || c.MaxRequests > 100_000, "MAX_REQUESTS must be between 1 and 100000")
	reject(c.MaxConnections < 1 || c.MaxConnections > 100_000, "MAX_CONNECTIONS must be between 1 and 100000")
	for name, d := range map[string]time.Duration{"READ_TIMEOUT": c.ReadTimeout, "SETTLE_TIMEOUT": c.SettleTimeout, "DRAIN_TIMEOUT": c.DrainTimeout} {
		reject(d < 10*time.Millisecond || d > time.Hour, "%s must be between 10ms and 1h", name)
	}
	reject(c.QueueDir != "" && c.QueueBytes < c.MaxBody+2*segmentBytes, "QUEUE_BYTES must be at least %s", c.MaxBody+2*segmentBytes)
}

// authenticates is true if senders have to prove something.
func (c *Config) authenticates() bool {
	return c.Token != "" || c.ClustersFile != "" || c.ClientCAFile != ""
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
