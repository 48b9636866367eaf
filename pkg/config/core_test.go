package config

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCoreWorksWithDefaultsAlone(t *testing.T) {
	var c Core
	l := NewLoader(nil)
	l.Fill(Prefix, &c)
	if err := l.Finish(); err != nil {
		t.Fatal(err)
	}
	if c.AdminAddress != "127.0.0.1:9464" || c.Budget != 64<<20 {
		t.Errorf("%+v", c)
	}
}

func TestCoreRefusesWhatCannotWork(t *testing.T) {
	for setting, want := range map[string]string{
		"SINKS=stdout":           `SINKS knows no "stdout": write elasticsearch, ndjson, kafka`,
		"SINKS=ndjson,ndjson":    `SINKS names "ndjson" twice`,
		"DEAD_LETTERS=none":      `DEAD_LETTERS knows no "none"`,
		"CHECKPOINTS=etcd":       `CHECKPOINTS knows no "etcd": write file, configmap:NAME, configmap:NAMESPACE/NAME`,
		"CHECKPOINTS=configmap:": `CHECKPOINTS: "" names no ConfigMap`,
		"MIN_LEVEL=severe":       `MIN_LEVEL knows no "severe"`,
		"LOG_LEVEL=trace":        `LOG_LEVEL knows no "trace"`,
		"LOG_FORMAT=xml":         `LOG_FORMAT knows no "xml"`,
		"ADMIN_ADDRESS=9464":     "ADMIN_ADDRESS must be host:port",
		"WORKERS=-1":             "WORKERS must be between 0 and 1024",
		"BUDGET=1KiB":            "BUDGET must be at least 1MiB",
		"DRAIN_TIMEOUT=0s":       "DRAIN_TIMEOUT must be more than 0s",
		"RELOAD_INTERVAL=-1s":    "RELOAD_INTERVAL must not be negative",
		"RELOAD_INTERVAL=10ms":   "RELOAD_INTERVAL must be 0s or at least 1s",
		"NAMESPACE=Prod-EU":      "NAMESPACE must be 1 to 100 of a-z, 0-9, _ and .",
		"SOURCES=Prod_1":         `SOURCES: "Prod_1" is no name`,
		"SOURCES=a,a":            `SOURCES names "a" twice`,
		"DEAD_LETTERS=kafka":     "DEAD_LETTERS_TOPIC and DEAD_LETTERS=kafka belong together",
		"DEAD_LETTERS_TOPIC=x":   "DEAD_LETTERS_TOPIC and DEAD_LETTERS=kafka belong together",
		"NO_BUILTIN=true":        "NO_BUILTIN leaves no rule at all",
		"CLUSTER_ID=arn:aws:eks": "CLUSTER_ID needs a CLUSTER_NAME beside it",
	} {
		t.Run(setting, func(t *testing.T) {
			l := NewLoader([]string{"FORETOP_" + setting})
			l.Fill(Prefix, &Core{})
			if err := l.Finish(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}

func TestPlaceholdersAreListsOfPlainValues(t *testing.T) {
	got, err := parsePlaceholders([]byte("admins: [alice, 'bob']\nports: [22, true]\nnone: []\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{"admins": {"alice", "bob"}, "ports": {"22", "true"}, "none": {}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got, err := parsePlaceholders([]byte("# nothing yet\n")); err != nil || len(got) != 0 {
		t.Errorf("empty file: %v, %v", got, err)
	}
}

func TestPlaceholdersRefuseAnythingElse(t *testing.T) {
	cases := map[string]string{
		"admins: alice":                        `line 1: "admins" must be a list`,
		"- alice":                              "line 1: expected a mapping of names to lists",
		"admins: [alice]\nadmins: [bob]":       `line 2: "admins" is there twice`,
		"admins: [{name: alice}]":              `line 1: "admins" must hold plain values only`,
		"admins: [~]":                          `line 1: "admins" must hold plain values only`,
		"a: &x [u]\nb: *x":                     `line 2: "b" must be a list`,
		"a: [&x u, *x]":                        `line 1: "a" must hold plain values only`,
		"admins: [alice":                       "yaml: line",
		"? [a]\n: [b]":                         "line 1: names must be plain text",
		strings.Repeat("[", 20000):             "yaml:",
		"a: [b]\n---\n- another document here": "holds more than one document",
	}
	for text := range maps.Keys(cases) {
		if _, err := parsePlaceholders([]byte(text)); err == nil || !strings.Contains(err.Error(), cases[text]) {
			t.Errorf("%.40q: got %v, want %s", text, err, cases[text])
		}
	}
	if _, err := ReadPlaceholders(filepath.Join(t.TempDir(), "none.yml")); err == nil {
		t.Error("a missing file was accepted")
	}
}
