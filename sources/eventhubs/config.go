package eventhubs

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/foretop/foretop/pkg/config"
	"github.com/foretop/foretop/pkg/kafkaconn"
	"github.com/foretop/foretop/sources/kafka"
)

// Config is what the environment says about one Event Hubs source.
type Config struct {
	ConnectionString config.Secret `envconfig:"CONNECTION_STRING" desc:"connection string of a shared access policy with the claim Listen, of the namespace or of one event hub; from a file (CONNECTION_STRING_FILE) it is read again at each connection, so that keys can be rotated"`
	Namespace        string        `envconfig:"NAMESPACE" desc:"instead of CONNECTION_STRING: host name of the namespace, example.servicebus.windows.net; the login is then that of Microsoft Entra ID (workload identity, managed identity, AZURE_CLIENT_ID and the other variables of the Azure SDK)"`
	Hubs             []string      `envconfig:"HUBS" desc:"event hubs to read, separated by commas; default is the EntityPath of CONNECTION_STRING"`
	Group            string        `envconfig:"GROUP" desc:"consumer group, a key of the whole namespace; the replicas of one installation share one, and nothing else may use it; default is foretop- and the names of HUBS with dots between them, so set it before HUBS changes, or everything is read again"`
	Start            string        `envconfig:"START" default:"earliest" desc:"where to begin in a partition without a saved position: earliest, or latest to skip what is there already"`

	Brokers     []string      `envconfig:"BROKERS" desc:"host:port to connect to first, where it is not port 9093 of the namespace"`
	TLSCAFile   string        `envconfig:"TLS_CA_FILE" desc:"PEM file with the CA certificates to trust, where a proxy breaks TLS up; default is the system's; read again at each connection"`
	ClientID    string        `envconfig:"CLIENT_ID" default:"foretop" desc:"name of this client in the logs of the namespace; not the client id of an Azure identity, which is AZURE_CLIENT_ID"`
	DialTimeout time.Duration `envconfig:"DIAL_TIMEOUT" default:"20s" desc:"time limit for one connection, the token included"`

	kafka.Limits

	// ConnectionStringFile is the file that ConnectionString came from, if it did.
	ConnectionStringFile string `ignored:"true"`
}

// kafkaPort is the port of the Kafka endpoint of every namespace.
const kafkaPort = "9093"

// hubName is what Event Hubs allows, as far as the Kafka protocol can name it.
var hubName = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9._-]{0,247}[a-zA-Z0-9])?$`)

// Validate says everything that is wrong, by the names of the settings.
func (c *Config) Validate() error {
	var problems []error
	reject := func(bad bool, format string, args ...any) {
		if bad {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	reject((c.ConnectionString == "") == (c.Namespace == ""), "set CONNECTION_STRING, or NAMESPACE to log in with Microsoft Entra ID: one of the two")
	reject(c.Namespace != "" && !(hostName.MatchString(c.Namespace) && strings.Contains(c.Namespace, ".")),
		"NAMESPACE must be the whole host name, as example.servicebus.windows.net, without a scheme and a port")
	login, err := c.login()
	if err != nil {
		problems = append(problems, err)
	}
	hubs := c.hubs(login)
	reject(err == nil && len(hubs) == 0, "set HUBS: CONNECTION_STRING is one of a namespace and names no event hub (EntityPath)")
	for _, h := range hubs {
		reject(!hubName.MatchString(h), "HUBS: %q is no name that Event Hubs allows", h)
	}
	reject(login != nil && login.hub != "" && len(c.Hubs) > 0 && !slices.Equal(c.Hubs, []string{login.hub}),
		"CONNECTION_STRING is one of an event hub (EntityPath), and HUBS names others: use one of the namespace")
	reject(c.Start != kafka.StartEarliest && c.Start != kafka.StartLatest, "START knows no %q: write earliest or latest", c.Start)
	reject(c.DialTimeout <= 0, "DIAL_TIMEOUT must be more than 0s")
	reject(c.SessionTimeout != 0 && (c.SessionTimeout < 6*time.Second || c.SessionTimeout > 5*time.Minute), "SESSION_TIMEOUT must be between 6s and 5m: Event Hubs allows no other")
	return errors.Join(append(problems, c.Limits.Validate())...)
}

// login is the connection string; nil where a token is the login.
func (c *Config) login() (*connectionString, error) {
	if c.ConnectionString == "" {
		return nil, nil
	}
	return parseConnectionString(c.ConnectionString.Reveal())
}

// hubs are the event hubs to read.
func (c *Config) hubs(login *connectionString) []string {
	if len(c.Hubs) == 0 && login != nil && login.hub != "" {
		return []string{login.hub}
	}
	return c.Hubs
}

// longestGroup bounds a group's name that is made of others: it is part of metric labels and logs.
const longestGroup = 120

// group is the consumer group. Groups are keys of the namespace, so that one name for everything would have the
// sources of two hubs share their partitions out to each other.
func (c *Config) group(hubs []string) string {
	if c.Group != "" {
		return c.Group
	}
	name := "foretop-" + strings.Join(slices.Sorted(slices.Values(hubs)), ".")
	if len(name) > longestGroup {
		sum := sha256.Sum256([]byte(name))
		name = name[:longestGroup-17] + "-" + hex.EncodeToString(sum[:8])
	}
	return name
}

// kafka is the configuration of the consumer.
func (c *Config) kafka(namespace string, hubs []string) kafka.Config {
	brokers := c.Brokers
	if len(brokers) == 0 {
		brokers = []string{net.JoinHostPort(namespace, kafkaPort)}
	}
	return kafka.Config{
		Config: kafkaconn.Config{
			Brokers: brokers, ClientID: c.ClientID, DialTimeout: c.DialTimeout, TLS: true, TLSCAFile: c.TLSCAFile, Advice: advice,
		},
		Topics: hubs, Group: c.group(hubs), Start: c.Start, Isolation: kafka.ReadUncommitted, Limits: c.Limits,
	}
}
