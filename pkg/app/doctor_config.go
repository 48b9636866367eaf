package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/foretop/foretop/pkg/checkpoint"
	"github.com/foretop/foretop/pkg/config"
	"github.com/foretop/foretop/pkg/durable"
	"github.com/foretop/foretop/pkg/finding"
	"github.com/foretop/foretop/pkg/geoip"
	"github.com/foretop/foretop/pkg/report"
	"github.com/foretop/foretop/sinks/ndjson"
	"github.com/foretop/foretop/sources/file"
	"github.com/foretop/foretop/sources/kafka"
)

// configuration reads the settings as the service does. ok is false if they are not good enough to go on.
func (d *doctor) configuration() (_ *report.Part, ok bool) {
	c := newChecks(partConfiguration, "", "")
	var err error
	if d.cfg, err = LoadConfig(d.o.Environ); err != nil {
		for line := range strings.Lines(err.Error()) {
			c.fail("setting", "", "%s", strings.TrimSpace(line))
		}
		c.fail("sources and sinks", "correct the settings first; foretop config lists all of them", "not looked at")
		return c.part, false
	}
	given := 0
	for _, v := range d.cfg.Values {
		if v.Origin == config.FromEnv || v.Origin == config.FromFile {
			given++
		}
	}
	var sources []string
	for i := range d.cfg.Sources {
		s := &d.cfg.Sources[i]
		name := s.Name
		if s.Type != s.Name {
			name += " (" + s.Type + ")"
		}
		sources = append(sources, name)
	}
	c.ok("settings", "%d given; from %s to %s, dead letters to %s", given, strings.Join(sources, ", "), strings.Join(d.cfg.Core.Sinks, ", "), d.cfg.Core.DeadLetters)
	core := &d.cfg.Core
	switch places, err := locate(geoip.Options{City: core.GeoIPCity, ASN: core.GeoIPASN, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler)}, &finding.Options{}); {
	case err != nil:
		c.fail("geoip", "correct FORETOP_GEOIP_CITY and FORETOP_GEOIP_ASN, or leave them out", "%s", err)
	case places != nil:
		c.ok("geoip", "%s", places.Detail())
	}
	d.routes(c)
	return c.part, true
}

// routes looks for ways on which what is written comes back, or gets lost.
func (d *doctor) routes(c *checks) {
	for topic, setting := range d.writtenTopics() {
		for i := range d.cfg.Sources {
			if k, ok := d.cfg.Sources[i].Adapter.(*kafka.Config); ok && readsTopic(k, d.cfg.Kafka.Brokers, topic) {
				c.fail("routes", "write to a topic of its own", "source %s reads the topic %s that %s names: what is written there is read again", d.cfg.Sources[i].Name, topic, setting)
			}
		}
	}
	written := map[string]string{}
	if d.cfg.NDJSON != nil && d.cfg.NDJSON.Path != ndjson.Stdout {
		written["FORETOP_NDJSON_PATH"] = d.cfg.NDJSON.Path
	}
	if d.cfg.Core.DeadLetters == "file" {
		written["the dead letters"] = d.cfg.deadLetterPath()
	}
	if len(written) == 2 && filepath.Clean(written["FORETOP_NDJSON_PATH"]) == filepath.Clean(written["the dead letters"]) {
		c.fail("routes", "give each a file of its own", "findings and dead letters go to the same file")
	}
	for i := range d.cfg.Sources {
		f, ok := d.cfg.Sources[i].Adapter.(*file.Config)
		if !ok {
			continue
		}
		for setting, path := range written {
			if slices.ContainsFunc(f.Paths, func(read string) bool { return holds(read, path) }) {
				c.fail("routes", "write them to another directory", "source %s reads the file that %s go to (%s)", d.cfg.Sources[i].Name, setting, path)
			}
		}
	}
	if slices.Equal(d.cfg.Core.Sinks, []string{"ndjson"}) && d.cfg.NDJSON.Path == ndjson.Stdout {
		c.warn("routes", "add elasticsearch or kafka to FORETOP_SINKS, or name a file in FORETOP_NDJSON_PATH", "findings go to the standard output only: is anybody told of them?")
	}
}

// writtenTopics are the topics that are written to, with the settings that name them.
func (d *doctor) writtenTopics() map[string]string {
	topics := map[string]string{}
	if slices.Contains(d.cfg.Core.Sinks, "kafka") {
		topics[d.cfg.Kafka.Topic] = "FORETOP_SINK_KAFKA_TOPIC"
	}
	if d.cfg.Core.DeadLetters == "kafka" {
		topics[d.cfg.Core.DeadLetterTopic] = "FORETOP_DEAD_LETTERS_TOPIC"
	}
	return topics
}

func readsTopic(k *kafka.Config, brokers []string, topic string) bool {
	if !slices.ContainsFunc(brokers, func(b string) bool { return slices.Contains(k.Brokers, b) }) {
		return false
	}
	if k.TopicsRegexp != "" {
		matched, err := regexp.MatchString("^(?:"+k.TopicsRegexp+")$", topic)
		return matched && err == nil
	}
	return slices.Contains(k.Topics, topic)
}

// holds is true if path is what a file source reads under the name read: the file itself, or one in its folder.
func holds(read, path string) bool {
	if matched, err := filepath.Match(read, path); matched && err == nil {
		return true
	}
	info, err := os.Stat(read)
	if err != nil || !info.IsDir() {
		return filepath.Clean(read) == filepath.Clean(path)
	}
	inside, err := filepath.Rel(read, path)
	return err == nil && filepath.IsLocal(inside)
}

// soon is how long before its end an exception is announced.
const soon = 14 * 24 * time.Hour

// ruleSet loads the rules as the service does.
func (d *doctor) ruleSet() *report.Part {
	c := newChecks(partRules, "", "")
	rules, err := LoadRules(d.cfg.ruleOptions())
	var bad *BadRulesError
	switch {
	case errors.As(err, &bad):
		for i, p := range bad.Problems {
			if i == maxShownProblems {
				c.fail("rule", "foretop rules lint lists all", "and %d more", len(bad.Problems)-i)
				break
			}
			c.fail("rule", "correct it, or set FORETOP_SKIP_INVALID_RULES=true", "%s", p.Error())
		}
		d.rules = rules // the valid ones can judge the samples
	case err != nil:
		c.fail("rules", "", "%s", err)
		return c.part
	default:
		d.rules = rules
	}
	if len(d.rules.Set.Rules()) == 0 {
		d.rules = nil
		return c.part
	}
	detail := fmt.Sprintf("%d in force, %d exceptions", len(rules.Set.Rules()), len(rules.Collection.Filters))
	if n := len(rules.Collection.Correlations); n > 0 {
		detail += fmt.Sprintf(", %d correlations (not run yet)", n)
	}
	c.ok("rules", "%s", detail)
	if n := rules.Invalid(); n > 0 && bad == nil {
		c.warn("rules", "foretop rules lint says why", "%d documents are invalid and skipped", n)
	}
	var waiting []string
	for _, r := range rules.Collection.WaitingRules {
		waiting = append(waiting, r.Title+" ("+rules.Collection.Waiting[r.Key()]+")")
	}
	if len(waiting) > 0 { // no warning: the site decides whether it has such lists
		c.ok("left out", "%s", listed(waiting))
	}
	d.exceptions(c)
	return c.part
}

// exceptions names those that end soon or have.
func (d *doctor) exceptions(c *checks) {
	var expired, expiring []string
	for _, f := range d.rules.Collection.Filters {
		if f.Foretop == nil || f.Foretop.Expires.IsZero() {
			continue
		}
		switch left := f.Foretop.Expires.Sub(d.now); {
		case left <= 0:
			expired = append(expired, fmt.Sprintf("%s (%s)", f.Title, f.Source))
		case left < soon:
			expiring = append(expiring, fmt.Sprintf("%s (%s, in %d days)", f.Title, f.Source, int(left.Hours()/24)))
		}
	}
	if len(expired) > 0 {
		c.warn("exceptions", "remove them, or give them a new x-foretop.expires", "%d have expired and suppress nothing in new events: %s", len(expired), listed(expired))
	}
	if len(expiring) > 0 {
		c.warn("exceptions", "look whether they are still needed before they end", "%d expire within %d days: %s", len(expiring), int(soon.Hours()/24), listed(expiring))
	}
}

// maxListed bounds the names in one line.
const maxListed = 6

func listed(names []string) string {
	if more := len(names) - maxListed; more > 0 {
		return strings.Join(names[:maxListed], "; ") + fmt.Sprintf("; and %d more", more)
	}
	return strings.Join(names, "; ")
}

// state looks at the directory for what has to outlive the process, where something has to.
func (d *doctor) state(ctx context.Context, c *checks) {
	d.mu.Lock()
	needed := d.needsState
	d.mu.Unlock()
	if !needed {
		return
	}
	if strings.HasPrefix(d.cfg.Core.Checkpoints, config.ConfigMapCheckpoints) {
		d.positions(ctx, c)
		return
	}
	dir := d.cfg.Core.StateDir
	const fix = "let the user that Foretop runs as write there (a volume, its owner, fsGroup), or set FORETOP_STATE_DIR"
	if err := durable.WritableDir(dir); err != nil {
		c.fail("directory "+dir, fix, "%s", err)
		return
	}
	positions := filepath.Join(dir, positionsFile)
	if err := durable.Writable(positions); err != nil {
		c.fail("file "+positions, fix, "%s", err)
		return
	}
	c.ok("directory "+dir, "can be written; it must outlive the process, or reading begins anew")
}

// positions looks at the ConfigMap that keeps positions.
func (d *doctor) positions(ctx context.Context, c *checks) {
	ctx, cancel := context.WithTimeout(ctx, d.o.Timeout)
	defer cancel()
	name := "positions in " + d.cfg.Core.Checkpoints
	store, err := openPositions(&d.cfg.Core, slog.New(slog.DiscardHandler))
	if err != nil {
		c.fail(name, "", "%s", err)
		return
	}
	defer store.Close()
	if m, ok := store.(*checkpoint.ConfigMap); ok {
		if err := m.Check(ctx); err != nil {
			c.fail(name, "grant the service account get and patch on this ConfigMap, and make it beforehand", "%s", err)
			return
		}
	}
	c.ok(name, "can be read and written")
}
