package elasticsearch

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/foretop/foretop/pkg/config"
)

// Config says how to reach Elasticsearch and how to write to it.
type Config struct {
	Addresses []string `envconfig:"ADDRESSES" required:"true" desc:"URLs of the Elasticsearch nodes or of a load balancer, as https://es.example:9200"`

	APIKey   config.Secret `envconfig:"API_KEY" desc:"API key, as id:key or in its encoded form"`
	Username string        `envconfig:"USERNAME" desc:"user name, where no API key is used"`
	Password config.Secret `envconfig:"PASSWORD" desc:"password of the user"`
	CAFile   string        `envconfig:"CA_FILE" desc:"PEM file with the authorities that may sign the server's certificate; default is the system's; read again when it changes"`
	CertFile string        `envconfig:"CERT_FILE" desc:"PEM file with the client certificate, for mutual TLS; read again when it changes"`
	KeyFile  string        `envconfig:"KEY_FILE" desc:"PEM file with the key of the client certificate"`

	BulkTimeout time.Duration `envconfig:"BULK_TIMEOUT" default:"60s" desc:"time after which a request is given up and repeated"`
	BulkBytes   config.Bytes  `envconfig:"BULK_BYTES" default:"8MiB" desc:"size of the documents in one request, before compression; it shrinks by itself while the server refuses or is too slow"`
	InFlight    int           `envconfig:"MAX_IN_FLIGHT" default:"2" desc:"bulk requests at the same time"`
	Compression bool          `envconfig:"COMPRESSION" default:"true" desc:"compresses requests with gzip"`
	Retention   string        `envconfig:"RETENTION" default:"365d" desc:"age at which findings are deleted, as 90d or 12h; foretop setup elasticsearch puts it into the lifecycle of the data stream"`

	// Namespace ends the name of the data stream. It is a setting of the service as a whole.
	Namespace string `ignored:"true"`
	// APIKeyFile and PasswordFile are the files that APIKey and Password were read from, if they came
	// from files. When set, they are read again when they change, so that credentials rotate without a
	// restart.
	APIKeyFile   string `ignored:"true"`
	PasswordFile string `ignored:"true"`
}

const (
	defaultTimeout   = 60 * time.Second
	defaultBulkBytes = 8 << 20
	defaultInFlight  = 2
)

var (
	// https://www.elastic.co/docs/reference/ecs/ecs-data_stream
	validNamespace = regexp.MustCompile(`^[a-z0-9_.]{1,100}$`)
	validRetention = regexp.MustCompile(`^[1-9][0-9]{0,5}[dh]$`)
)

// Validate says everything that is wrong. An empty Namespace means "default".
func (c *Config) Validate() error {
	var problems []error
	reject := func(bad bool, format string, args ...any) {
		if bad {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	reject(len(c.Addresses) == 0, "ADDRESSES must name at least one URL")
	for _, a := range c.Addresses {
		if _, err := parseAddress(a); err != nil {
			problems = append(problems, fmt.Errorf("ADDRESSES: %w", err))
		}
	}
	a := c.access()
	problems = append(problems, a.validate())
	reject(c.BulkTimeout < 0, "BULK_TIMEOUT must not be negative")
	reject(c.BulkBytes < 0 || c.BulkBytes > 90<<20, "BULK_BYTES must be at most 90MiB: Elasticsearch refuses requests of 100 MB")
	reject(c.InFlight < 0 || c.InFlight > 64, "MAX_IN_FLIGHT must be between 1 and 64")
	reject(c.Retention != "" && !validRetention.MatchString(c.Retention), "RETENTION must be a number with d or h, as 365d")
	reject(c.Namespace != "" && !validNamespace.MatchString(c.Namespace), "the namespace %q must be 1 to 100 of a-z, 0-9, _ and .", c.Namespace)
	return errors.Join(problems...)
}

// withDefaults is c as the environment would have filled it, for callers that build one by hand.
func (c Config) withDefaults() Config {
	if c.BulkTimeout == 0 {
		c.BulkTimeout = defaultTimeout
	}
	if c.BulkBytes == 0 {
		c.BulkBytes = defaultBulkBytes
	}
	if c.InFlight == 0 {
		c.InFlight = defaultInFlight
	}
	if c.Namespace == "" {
		c.Namespace = "default"
	}
	return c
}

func (c *Config) access() accessConfig {
	return accessConfig{
		apiKey: c.APIKey, apiKeyFile: c.APIKeyFile,
		username: c.Username, password: c.Password, passwordFile: c.PasswordFile,
		caFile: c.CAFile, certFile: c.CertFile, keyFile: c.KeyFile,
	}
}

// KibanaConfig says how to reach Kibana. Only `foretop setup kibana` uses it.
type KibanaConfig struct {
	URL      string        `envconfig:"URL" required:"true" desc:"URL of Kibana, as https://kibana.example:5601"`
	Space    string        `envconfig:"SPACE" desc:"id of the Kibana space that gets the dashboards; default is the default space"`
	APIKey   config.Secret `envconfig:"API_KEY" desc:"API key, as id:key or in its encoded form"`
	Username string        `envconfig:"USERNAME" desc:"user name, where no API key is used"`
	Password config.Secret `envconfig:"PASSWORD" desc:"password of the user"`
	CAFile   string        `envconfig:"CA_FILE" desc:"PEM file with the authorities that may sign Kibana's certificate; default is the system's"`
	CertFile string        `envconfig:"CERT_FILE" desc:"PEM file with the client certificate, for mutual TLS"`
	KeyFile  string        `envconfig:"KEY_FILE" desc:"PEM file with the key of the client certificate"`
	Timeout  time.Duration `envconfig:"TIMEOUT" default:"60s" desc:"time after which a request is given up"`
}

// https://www.elastic.co/docs/deploy-manage/manage-spaces: lower case, digits, underscores and hyphens.
var validSpace = regexp.MustCompile(`^[a-z0-9_-]+$`)

// Validate says everything that is wrong.
func (c *KibanaConfig) Validate() error {
	var problems []error
	if _, err := parseAddress(c.URL); err != nil {
		problems = append(problems, fmt.Errorf("URL: %w", err))
	}
	if c.Space != "" && !validSpace.MatchString(c.Space) {
		problems = append(problems, fmt.Errorf("SPACE %q is no id of a space: write it as it stands in Kibana's address, after /s/", c.Space))
	}
	a := c.access()
	problems = append(problems, a.validate())
	return errors.Join(problems...)
}

func (c *KibanaConfig) access() accessConfig {
	return accessConfig{
		apiKey: c.APIKey, username: c.Username, password: c.Password,
		caFile: c.CAFile, certFile: c.CertFile, keyFile: c.KeyFile,
	}
}

// parseAddress reads a base URL. Credentials in it are refused, because addresses appear in messages.
func parseAddress(text string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(text, "/"))
	switch {
	case err != nil:
		return nil, errors.New("one of them is no URL: write https://host:port") // the error would quote it
	case u.User != nil:
		return nil, fmt.Errorf("%s://%s has a user name or password in it: use USERNAME and PASSWORD, or API_KEY", u.Scheme, u.Host)
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, fmt.Errorf("%q is no http or https URL: write https://host:port", text)
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%q must end after host, port and path", text)
	}
	return u, nil
}
