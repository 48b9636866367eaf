// Package kafkaconn opens connections to Kafka brokers, for the Kafka source and the Kafka sink.
//
// TCP, TLS and SASL of one connection happen here, under one deadline, and kafka-go gets a connection that is
// ready to use. kafka-go's own SASL exchange runs without any deadline: a broker that accepts and then stays
// silent would hang it for ever. Doing it here also means that CA, certificate and key are read from their
// files at each connection, so that rotated ones need no restart.
package kafkaconn

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/segmentio/kafka-go/sasl"

	"github.com/foretop/foretop/pkg/config"
)

// Config says where the brokers are and how to talk to them. Kafka adapters embed it.
type Config struct {
	Brokers     []string      `envconfig:"BROKERS" required:"true" desc:"some brokers of the cluster, host:port, separated by commas; the others are found through them"`
	ClientID    string        `envconfig:"CLIENT_ID" default:"foretop" desc:"name of this client in the brokers' logs, metrics and quotas"`
	DialTimeout time.Duration `envconfig:"DIAL_TIMEOUT" default:"10s" desc:"time limit for connecting to one broker, TLS and SASL included"`

	TLS                   bool   `envconfig:"TLS" default:"false" desc:"encrypts connections to the brokers"`
	TLSCAFile             string `envconfig:"TLS_CA_FILE" desc:"PEM file with the CA certificates that sign the brokers' ones; default is the system's; read again at each connection"`
	TLSCertFile           string `envconfig:"TLS_CERT_FILE" desc:"PEM file with the client certificate, if the brokers ask for one; read again at each connection"`
	TLSKeyFile            string `envconfig:"TLS_KEY_FILE" desc:"PEM file with the key of the client certificate; read again at each connection"`
	TLSServerName         string `envconfig:"TLS_SERVER_NAME" desc:"host name that the brokers' certificates must be valid for; default is the host that is connected to"`
	TLSInsecureSkipVerify bool   `envconfig:"TLS_INSECURE_SKIP_VERIFY" default:"false" desc:"accepts any certificate, so that anybody on the path can read and change what is sent; for trials only"`

	SASLMechanism string        `envconfig:"SASL_MECHANISM" desc:"how to log in: plain, scram-sha-256 or scram-sha-512; default is not to"`
	SASLUser      string        `envconfig:"SASL_USER" desc:"user name for SASL"`
	SASLPassword  config.Secret `envconfig:"SASL_PASSWORD" desc:"password for SASL"`

	// Mechanism replaces the three SASL settings where a program has a login of its own. Start may take its time,
	// for a token say; an error of it is one that waiting may cure, unless RefusedLogin made it. A session that has
	// a method Refusal() string says with it what the broker answered before it refused the login.
	Mechanism sasl.Mechanism `ignored:"true"`
	// Advice says what to do about a connection or login that failed, where the program knows more about the
	// brokers than this package; "" where it does not. Nil is allowed.
	Advice func(error) string `ignored:"true"`
}

// Names of SASL mechanisms, as a configuration writes them.
const (
	plainMechanism  = "plain"
	scram256        = "scram-sha-256"
	scram512        = "scram-sha-512"
	knownMechanisms = plainMechanism + ", " + scram256 + " or " + scram512
)

// Validate says everything that is wrong, by the names of the settings. It reads no file.
func (c *Config) Validate() error {
	var problems []error
	reject := func(bad bool, format string, args ...any) {
		if bad {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	reject(len(c.Brokers) == 0, "BROKERS is empty: name at least one broker as host:port")
	for _, b := range c.Brokers {
		problems = append(problems, checkBroker(b))
	}
	reject(c.DialTimeout <= 0, "DIAL_TIMEOUT must be more than 0s")
	reject((c.TLSCertFile == "") != (c.TLSKeyFile == ""), "TLS_CERT_FILE and TLS_KEY_FILE belong together: set both or none")
	for name, set := range map[string]bool{
		"TLS_CA_FILE": c.TLSCAFile != "", "TLS_CERT_FILE": c.TLSCertFile != "",
		"TLS_SERVER_NAME": c.TLSServerName != "", "TLS_INSECURE_SKIP_VERIFY": c.TLSInsecureSkipVerify,
	} {
		reject(set && !c.TLS, "%s has no effect without TLS=true", name)
	}
	reject(c.TLSInsecureSkipVerify && c.TLSCAFile != "", "TLS_INSECURE_SKIP_VERIFY makes TLS_CA_FILE pointless: keep one")
	switch c.SASLMechanism {
	case "":
		reject(c.Mechanism == nil && (c.SASLUser != "" || c.SASLPassword != ""),
			"SASL_USER and SASL_PASSWORD have no effect without SASL_MECHANISM: set it to %s", knownMechanisms)
	case plainMechanism, scram256, scram512:
		reject(c.SASLUser == "" || c.SASLPassword == "", "SASL_MECHANISM needs SASL_USER and SASL_PASSWORD")
	default:
		reject(true, "SASL_MECHANISM knows no %q: write %s", c.SASLMechanism, knownMechanisms)
	}
	return errors.Join(problems...)
}

// Security says how connections are secured, for people to read.
func (c *Config) Security() string {
	text := "connected without TLS"
	if c.TLS {
		text = "connected with TLS"
	}
	switch {
	case c.Mechanism != nil:
		return text + ", logged in by " + c.Mechanism.Name()
	case c.SASLMechanism != "":
		return fmt.Sprintf("%s, logged in as %q by %s", text, c.SASLUser, strings.ToUpper(c.SASLMechanism))
	}
	return text + ", without a login"
}

func checkBroker(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err == nil && host != "" && port != "" && !strings.Contains(address, "/") {
		return nil
	}
	if u, parseErr := url.Parse(address); parseErr == nil && u.User != nil {
		address = "(an address with a user name in it)" // never repeat what may be a password
	}
	return fmt.Errorf("BROKERS: %q is no host:port", address)
}

// warn says loudly what is allowed and still a bad idea.
func (c *Config) warn(log *slog.Logger) {
	if c.TLSInsecureSkipVerify {
		log.Warn("TLS_INSECURE_SKIP_VERIFY is on: anybody between here and the Kafka brokers can read and change what is sent, the password included",
			"brokers", c.Brokers)
	}
	if c.SASLMechanism == plainMechanism && !c.TLS {
		log.Warn("SASL PLAIN without TLS sends the Kafka password in clear text: set TLS=true", "brokers", c.Brokers)
	}
}
