package cloudwatch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// target is one entry of the configuration: a log group, or the prefix of several, and the way to it.
type target struct {
	// name of the log group, or prefix of the names of several.
	name, prefix string
	// account is the group's, from its ARN or else from the role; empty if the configuration does not say.
	account string
	// foreign is set if an ARN names another account than the role's: a monitoring account reads it by its ARN.
	foreign bool
	route   routeKey
	// cluster that the group tells of, if the user named it.
	clusterName, clusterID string
}

// routeKey is what decides which client reads a log group.
type routeKey struct{ region, role, externalID string }

// arn of the target's log group, as permissions name it. What is unknown is *.
func (t *target) arn() string {
	account := t.account
	if account == "" {
		account = "*"
	}
	name := t.name
	if name == "" {
		name = t.prefix + "*"
	}
	return "arn:" + partitionOf(t.route.region) + ":logs:" + t.route.region + ":" + account + ":log-group:" + name
}

func partitionOf(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

// What AWS allows: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html
var (
	groupName = regexp.MustCompile(`^[a-zA-Z0-9_./#-]{1,512}$`)
	groupARN  = regexp.MustCompile(`^arn:(aws[a-z-]*):logs:([a-z0-9-]+):([0-9]{12}):log-group:([a-zA-Z0-9_./#-]{1,512})(?::\*)?$`)
	roleARN   = regexp.MustCompile(`^arn:aws[a-z-]*:iam::([0-9]{12}):role/.+$`)
)

// setGroup takes a name or an ARN.
func (t *target) setGroup(text string) error {
	if groupName.MatchString(text) {
		t.name = text
		return nil
	}
	m := groupARN.FindStringSubmatch(text)
	if m == nil {
		return fmt.Errorf("%q is neither the name of a log group nor its ARN (arn:aws:logs:REGION:ACCOUNT:log-group:NAME)", text)
	}
	if t.route.region != "" && t.route.region != m[2] {
		return fmt.Errorf("%s: the ARN says region %s, and %s is given beside it", text, m[2], t.route.region)
	}
	t.foreign = t.account != "" && t.account != m[3]
	t.route.region, t.account, t.name = m[2], m[3], m[4]
	return nil
}

func (t *target) setRole(role, externalID string) error {
	t.route.role, t.route.externalID = role, externalID
	if role == "" {
		return nil
	}
	m := roleARN.FindStringSubmatch(role)
	if m == nil {
		return fmt.Errorf("%q is no ARN of a role (arn:aws:iam::ACCOUNT:role/NAME)", role)
	}
	t.account = m[1]
	return nil
}

// shortTargets are the log groups that variables name. Regions may be missing still.
func (c *Config) shortTargets() ([]target, error) {
	var out []target
	var problems []error
	entries := make([]target, 0, len(c.LogGroups)+1)
	for range c.LogGroups {
		entries = append(entries, target{})
	}
	for i, text := range c.LogGroups {
		t := &entries[i]
		if err := errors.Join(t.setRole(c.RoleARN, c.ExternalID), t.setGroup(text)); err != nil {
			problems = append(problems, fmt.Errorf("LOG_GROUPS: %w", err))
			continue
		}
		out = append(out, *t)
	}
	if c.LogGroupPrefix != "" {
		t := target{prefix: c.LogGroupPrefix}
		if !groupName.MatchString(c.LogGroupPrefix) {
			problems = append(problems, fmt.Errorf("LOG_GROUP_PREFIX: no name of a log group starts with %q", c.LogGroupPrefix))
		} else if err := t.setRole(c.RoleARN, c.ExternalID); err != nil {
			problems = append(problems, fmt.Errorf("ROLE_ARN: %w", err))
		} else {
			out = append(out, t)
		}
	}
	return out, errors.Join(problems...)
}

// groupsFile is the form of GROUPS_FILE.
type groupsFile struct {
	LogGroups []struct {
		Name        string `yaml:"name"` // or ARN
		Prefix      string `yaml:"prefix"`
		Region      string `yaml:"region"`
		RoleARN     string `yaml:"role_arn"`
		ExternalID  string `yaml:"external_id"`
		ClusterName string `yaml:"cluster_name"`
		ClusterID   string `yaml:"cluster_id"`
	} `yaml:"log_groups"`
}

// maxGroupsFile bounds GROUPS_FILE, in bytes.
const maxGroupsFile = 1 << 20

func readGroupsFile(path string) ([]target, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("GROUPS_FILE: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxGroupsFile+1))
	if err != nil {
		return nil, fmt.Errorf("GROUPS_FILE: %w", err)
	}
	if len(data) > maxGroupsFile {
		return nil, fmt.Errorf("GROUPS_FILE: %s is larger than 1MiB", path)
	}
	targets, err := parseGroups(data)
	if err != nil {
		return nil, fmt.Errorf("GROUPS_FILE %s: %w", path, err)
	}
	return targets, nil
}

func parseGroups(data []byte) ([]target, error) {
	var form groupsFile
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&form); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := d.Decode(&struct{}{}); !errors.Is(err, io.EOF) {
		return nil, errors.New("one YAML document is expected, and there is more")
	}
	if len(form.LogGroups) == 0 {
		return nil, errors.New("log_groups is empty")
	}
	var out []target
	var problems []error
	for i, g := range form.LogGroups {
		t := target{prefix: g.Prefix, clusterName: g.ClusterName, clusterID: g.ClusterID, route: routeKey{region: g.Region}}
		err := t.setRole(g.RoleARN, g.ExternalID)
		switch {
		case (g.Name == "") == (g.Prefix == ""):
			err = errors.Join(err, errors.New("write name or prefix, one of the two"))
		case g.Name != "":
			err = errors.Join(err, t.setGroup(g.Name))
		case !groupName.MatchString(g.Prefix):
			err = errors.Join(err, fmt.Errorf("no name of a log group starts with %q", g.Prefix))
		case g.ClusterName != "" || g.ClusterID != "":
			err = errors.Join(err, errors.New("a prefix stands for several clusters: cluster_name and cluster_id need a name"))
		}
		if g.ExternalID != "" && g.RoleARN == "" {
			err = errors.Join(err, errors.New("external_id needs a role_arn beside it"))
		}
		if g.ClusterID != "" && g.ClusterName == "" {
			err = errors.Join(err, errors.New("cluster_id needs a cluster_name beside it"))
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("log group %d: %w", i+1, err))
			continue
		}
		out = append(out, t)
	}
	return out, errors.Join(problems...)
}

// targets are all entries, each with a region.
func (c *Config) targets(region string) ([]target, error) {
	out, err := c.shortTargets()
	if err != nil {
		return nil, err
	}
	if c.GroupsFile != "" {
		more, err := readGroupsFile(c.GroupsFile)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	seen := make(map[target]bool)
	for i := range out {
		t := &out[i]
		if t.route.region == "" {
			t.route.region = region
		}
		if t.route.region == "" {
			return nil, fmt.Errorf("no region for %s: set AWS_REGION or REGION, or name the log group by its ARN", t.name+t.prefix)
		}
		key := target{name: t.name, prefix: t.prefix, account: t.account, route: routeKey{region: t.route.region}}
		if seen[key] {
			return nil, fmt.Errorf("%s is named twice", t.arn())
		}
		seen[key] = true
	}
	return out, nil
}

// isClusterGroup leaves out what lies beside the control plane's log groups below /aws/eks/.
func isClusterGroup(name string) bool {
	const eks = "/aws/eks/"
	return !strings.HasPrefix(name, eks) || strings.HasSuffix(name, "/cluster")
}
