package cloudwatch

import (
	"errors"
	"fmt"
	"time"

	"github.com/foretop/foretop/pkg/config"
)

// Config is what the environment says about one source of CloudWatch Logs. Credentials, profiles and endpoints
// are found as every AWS tool finds them: AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL, a pod's role, and so on.
type Config struct {
	LogGroups      []string `envconfig:"LOG_GROUPS" desc:"log groups to read, separated by commas: names such as /aws/eks/prod/cluster, or ARNs, which say the region too: arn:aws:logs:REGION:ACCOUNT:log-group:NAME"`
	LogGroupPrefix string   `envconfig:"LOG_GROUP_PREFIX" desc:"also reads each log group whose name starts so, and finds new ones while running; of those below /aws/eks/ only /aws/eks/NAME/cluster; needs logs:DescribeLogGroups"`
	GroupsFile     string   `envconfig:"GROUPS_FILE" desc:"YAML file of log groups with region, role and cluster name of their own, beside or instead of LOG_GROUPS; its form is in docs/operations.md"`
	Region         string   `envconfig:"REGION" desc:"region of log groups that name none; default is AWS_REGION, else that of the AWS profile"`
	RoleARN        string   `envconfig:"ROLE_ARN" desc:"role to assume for log groups that name none, as in another account; default is to use the credentials as they are found"`
	ExternalID     string   `envconfig:"EXTERNAL_ID" desc:"external id that the trust policy of ROLE_ARN asks for"`
	StreamPrefix   string   `envconfig:"STREAM_PREFIX" default:"kube-apiserver-audit" desc:"reads log streams whose names start so; EKS writes audit events to those of the default"`

	Start         string        `envconfig:"START" default:"1h" desc:"where to begin in a log group without a saved position: now, earliest for all that is stored, or a duration before now; what is skipped is logged"`
	MaxLateness   time.Duration `envconfig:"MAX_LATENESS" default:"10m" desc:"time after which an event has certainly arrived: each stretch is read a last time when it is this old, and events that arrive later are not seen"`
	PollInterval  time.Duration `envconfig:"POLL_INTERVAL" default:"15s" desc:"time between two readings of the newest events"`
	PollOverlap   time.Duration `envconfig:"POLL_OVERLAP" default:"30s" desc:"time that a reading of the newest events goes back behind the last one; events later than this wait for MAX_LATENESS"`
	SweepInterval time.Duration `envconfig:"SWEEP_INTERVAL" default:"1m" desc:"shortest stretch that is read a last time at once"`

	DiscoveryInterval time.Duration `envconfig:"DISCOVERY_INTERVAL" default:"5m" desc:"time between two looks for new log groups, with prefixes"`
	CallsPerSecond    float64       `envconfig:"CALLS_PER_SECOND" default:"5" desc:"calls a second to CloudWatch Logs for each account and region, at most; fewer while it throttles. Leave room for others that use the account's quota of FilterLogEvents"`
	RememberedIDs     int           `envconfig:"REMEMBERED_IDS" default:"2000000" desc:"event ids kept in memory to hand on each event once, about 30 bytes each; past it some come twice, which finding ids make harmless"`
	BatchRecords      int           `envconfig:"BATCH_RECORDS" default:"500" desc:"records that are handed on together, at most"`
	BatchBytes        config.Bytes  `envconfig:"BATCH_BYTES" default:"1MiB" desc:"size of records that are handed on together, at most, unless one alone is larger"`
	DrainTimeout      time.Duration `envconfig:"DRAIN_TIMEOUT" default:"20s" desc:"time to wait at the end for records in flight"`
}

// Values of Start that are no duration.
const (
	startNow      = "now"
	startEarliest = "earliest"
)

// Validate says everything that is wrong, by the names of the settings.
func (c *Config) Validate() error {
	var problems []error
	reject := func(bad bool, format string, args ...any) {
		if bad {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	reject(len(c.LogGroups) == 0 && c.LogGroupPrefix == "" && c.GroupsFile == "",
		"set LOG_GROUPS, LOG_GROUP_PREFIX or GROUPS_FILE: nothing says what to read")
	_, err := c.shortTargets()
	reject(err != nil, "%w", err)
	reject(c.ExternalID != "" && c.RoleARN == "", "EXTERNAL_ID needs a ROLE_ARN beside it")
	reject(c.StreamPrefix == "", "STREAM_PREFIX is empty")
	if _, err := c.startAge(); c.Start != startNow && c.Start != startEarliest {
		reject(err != nil, "START knows no %q: write now, earliest, or a duration such as 24h", c.Start)
	}
	for name, d := range map[string]time.Duration{
		"MAX_LATENESS": c.MaxLateness, "POLL_INTERVAL": c.PollInterval, "SWEEP_INTERVAL": c.SweepInterval, "DISCOVERY_INTERVAL": c.DiscoveryInterval,
	} {
		reject(d < 10*time.Millisecond || d > 24*time.Hour, "%s must be between 10ms and 24h", name)
	}
	reject(c.PollOverlap < 0, "POLL_OVERLAP must not be negative")
	reject(c.PollOverlap+c.PollInterval > c.MaxLateness, "MAX_LATENESS must be at least POLL_INTERVAL and POLL_OVERLAP together")
	reject(c.DrainTimeout < 0, "DRAIN_TIMEOUT must not be negative")
	reject(c.CallsPerSecond < 0.1 || c.CallsPerSecond > 1000, "CALLS_PER_SECOND must be between 0.1 and 1000")
	reject(c.RememberedIDs < 1, "REMEMBERED_IDS must be more than 0")
	reject(c.BatchRecords < 1 || c.BatchRecords > 10_000, "BATCH_RECORDS must be between 1 and 10000")
	reject(c.BatchBytes < 1, "BATCH_BYTES must be more than 0")
	return errors.Join(problems...)
}

// startAge is how long before now to begin, where Start is a duration.
func (c *Config) startAge() (time.Duration, error) {
	if c.Start == startNow {
		return 0, nil
	}
	d, err := time.ParseDuration(c.Start)
	if err == nil && d < 0 {
		err = errors.New("negative")
	}
	return d, err
}
