package pubsub

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/foretop/foretop/pkg/config"
)

// Config is what the environment says about one Pub/Sub source. Credentials are Application Default Credentials:
// workload identity on GKE, or the file that GOOGLE_APPLICATION_CREDENTIALS names.
// https://cloud.google.com/docs/authentication/application-default-credentials
type Config struct {
	Subscriptions []string `envconfig:"SUBSCRIPTIONS" desc:"subscriptions to read, separated by commas: projects/PROJECT/subscriptions/NAME, or NAME in PROJECT"`
	Project       string   `envconfig:"PROJECT" desc:"project of the subscriptions that are given by name alone"`
	Endpoint      string   `envconfig:"ENDPOINT" desc:"host and port of a regional or private endpoint, for example europe-west1-pubsub.googleapis.com:443; default is Google's global one, or PUBSUB_EMULATOR_HOST if that is set"`

	MaxOutstandingMessages int          `envconfig:"MAX_OUTSTANDING_MESSAGES" default:"1000" desc:"messages of one subscription that may be in work; no more are pulled meanwhile"`
	MaxOutstandingBytes    config.Bytes `envconfig:"MAX_OUTSTANDING_BYTES" default:"32MiB" desc:"size of the messages of one subscription that may be in work"`
	Streams                int          `envconfig:"STREAMS" default:"1" desc:"streams that pull from one subscription; they share its limits. Google bounds one stream to 10 MB/s"`

	Lease        time.Duration `envconfig:"LEASE" default:"60s" desc:"time for which a message stays ours at a time, extended while it is in work; after a crash the messages come again when it is over"`
	MaxExtension time.Duration `envconfig:"MAX_EXTENSION" default:"24h" desc:"time after which the lease of a message is extended no more, so that it comes again, perhaps to another replica; each time counts as a delivery attempt if there is a dead letter policy"`
	DrainTimeout time.Duration `envconfig:"DRAIN_TIMEOUT" default:"20s" desc:"time to finish what is in work when the source stops; the rest is given back. Less than FORETOP_DRAIN_TIMEOUT, so that others get it at once"`

	BatchRecords int           `envconfig:"BATCH_RECORDS" default:"500" desc:"messages that are handed on together, at most"`
	BatchBytes   config.Bytes  `envconfig:"BATCH_BYTES" default:"1MiB" desc:"size of messages that are handed on together, at most, unless one alone is larger"`
	BatchDelay   time.Duration `envconfig:"BATCH_DELAY" default:"20ms" desc:"time that a message may wait for others to be handed on with"`

	ScanSilence time.Duration `envconfig:"SCAN_SILENCE" default:"60s" desc:"time without a message after which a scan has read everything; Google takes up to a minute to go back in a subscription"`
}

// fullName and shortName are what Google allows. https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names
var (
	fullName  = regexp.MustCompile(`^projects/([^/\s]+)/subscriptions/([^/\s]+)$`)
	shortName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._~+%-]{2,254}$`)
)

// Validate says everything that is wrong, by the names of the settings.
func (c *Config) Validate() error {
	var problems []error
	reject := func(bad bool, format string, args ...any) {
		if bad {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	reject(len(c.Subscriptions) == 0, "SUBSCRIPTIONS is empty")
	seen := make(map[string]bool)
	for _, given := range c.Subscriptions {
		name, err := c.fullName(given)
		reject(err != nil, "SUBSCRIPTIONS: %w", err)
		reject(err == nil && seen[name], "SUBSCRIPTIONS: %s is named twice", name)
		seen[name] = true
	}
	reject(strings.Contains(c.Endpoint, "/"), "ENDPOINT must be host:port, without a scheme")
	reject(c.Streams < 1 || c.Streams > 100, "STREAMS must be between 1 and 100")
	reject(c.MaxOutstandingMessages < c.Streams || c.MaxOutstandingMessages > 100_000,
		"MAX_OUTSTANDING_MESSAGES must be between STREAMS and 100000")
	reject(c.MaxOutstandingBytes < 1024 || c.MaxOutstandingBytes > 4<<30, "MAX_OUTSTANDING_BYTES must be between 1KiB and 4GiB")
	reject(c.BatchRecords < 1 || c.BatchRecords > 100_000, "BATCH_RECORDS must be between 1 and 100000")
	reject(c.BatchBytes < 1, "BATCH_BYTES must be more than 0")
	c.validateTimes(reject)
	return errors.Join(problems...)
}

func (c *Config) validateTimes(reject func(bad bool, format string, args ...any)) {
	// https://cloud.google.com/pubsub/docs/lease-management
	reject(c.Lease < 10*time.Second || c.Lease > 10*time.Minute, "LEASE must be between 10s and 10m")
	reject(c.MaxExtension < c.Lease || c.MaxExtension > 31*24*time.Hour, "MAX_EXTENSION must be between LEASE and 744h")
	reject(c.DrainTimeout < time.Millisecond || c.DrainTimeout > time.Hour, "DRAIN_TIMEOUT must be between 1ms and 1h")
	reject(c.BatchDelay < 0 || c.BatchDelay > 5*time.Second, "BATCH_DELAY must be between 0s and 5s")
	reject(c.ScanSilence < time.Second || c.ScanSilence > time.Hour, "SCAN_SILENCE must be between 1s and 1h")
}

// fullName completes a subscription's name.
func (c *Config) fullName(given string) (string, error) {
	switch {
	case fullName.MatchString(given):
		return given, nil
	case strings.Contains(given, "/"):
		return "", fmt.Errorf("%q is no subscription: write projects/PROJECT/subscriptions/NAME", given)
	case !shortName.MatchString(given):
		return "", fmt.Errorf("%q is no name that Google allows", given)
	case c.Project == "":
		return "", fmt.Errorf("%q has no project: set PROJECT, or write projects/PROJECT/subscriptions/%s", given, given)
	}
	return "projects/" + c.Project + "/subscriptions/" + given, nil
}

// projectOf is the project in a full name.
func projectOf(name string) string { return fullName.FindStringSubmatch(name)[1] }
