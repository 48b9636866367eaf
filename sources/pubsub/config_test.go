package pubsub

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/foretop/foretop/pkg/decode"
)

func TestSettingsThatCannotWorkAreRefusedByName(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no subscription":             {func(c *Config) { c.Subscriptions = nil }, "SUBSCRIPTIONS is empty"},
		"a name without a project":    {func(c *Config) { c.Subscriptions = []string{"audit"} }, "set PROJECT"},
		"a topic":                     {func(c *Config) { c.Subscriptions = []string{"projects/p/topics/audit"} }, "is no subscription"},
		"a name that is too short":    {func(c *Config) { c.Project, c.Subscriptions = "p", []string{"ab"} }, "no name that Google allows"},
		"one subscription twice":      {func(c *Config) { c.Project = "prod"; c.Subscriptions = append(c.Subscriptions, "audit") }, "is named twice"},
		"a scheme":                    {func(c *Config) { c.Endpoint = "https://pubsub.googleapis.com" }, "ENDPOINT must be host:port"},
		"no stream":                   {func(c *Config) { c.Streams = 0 }, "STREAMS"},
		"less messages than streams":  {func(c *Config) { c.Streams, c.MaxOutstandingMessages = 10, 9 }, "MAX_OUTSTANDING_MESSAGES"},
		"no memory":                   {func(c *Config) { c.MaxOutstandingBytes = 0 }, "MAX_OUTSTANDING_BYTES"},
		"a lease that Google refuses": {func(c *Config) { c.Lease = 5 * time.Second }, "LEASE must be between 10s and 10m"},
		"an extension below a lease":  {func(c *Config) { c.MaxExtension = time.Second }, "MAX_EXTENSION"},
		"no time to drain":            {func(c *Config) { c.DrainTimeout = 0 }, "DRAIN_TIMEOUT"},
		"an endless batch":            {func(c *Config) { c.BatchDelay = time.Hour }, "BATCH_DELAY"},
		"no records":                  {func(c *Config) { c.BatchRecords = 0 }, "BATCH_RECORDS"},
		"no bytes":                    {func(c *Config) { c.BatchBytes = 0 }, "BATCH_BYTES"},
		"no silence":                  {func(c *Config) { c.ScanSilence = 0 }, "SCAN_SILENCE"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := settings(t)
			if err := cfg.Validate(); err != nil {
				t.Fatalf("the defaults: %v", err)
			}
			tt.change(&cfg)
			if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Validate: %v, want %q", err, tt.want)
			}
			if _, err := New(cfg, Options{Logger: slog.New(slog.DiscardHandler)}); err == nil {
				t.Error("New takes them")
			}
		})
	}
}

func TestSubscriptionsOfSeveralProjectsAreReadByOneSource(t *testing.T) {
	cfg := settings(t)
	cfg.Project = "prod"
	cfg.Subscriptions = []string{"audit", "projects/example.com:other/subscriptions/audit"}
	src, err := New(cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{auditSub: "prod", "projects/example.com:other/subscriptions/audit": "example.com:other"}
	for _, r := range src.readers {
		if p := r.shared[decode.MetaProject]; p == "" || p != want[r.name] {
			t.Errorf("%s is of project %q", r.name, p)
		}
		delete(want, r.name)
	}
	if len(want) > 0 {
		t.Errorf("not read: %v", want)
	}
}
