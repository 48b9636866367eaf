package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheDoctorExaminesWhatRunWouldUse(t *testing.T) {
	dir := t.TempDir()
	log := write(t, filepath.Join(dir, "logs", "audit.log"), lines(audit(1, "get", "alice"), audit(2, "list", "alice")))
	env := []string{
		"FORETOP_FILE_PATHS=" + log, "FORETOP_FILE_FOLLOW=true", "FORETOP_SINKS=ndjson", "FORETOP_NDJSON_PATH=" + filepath.Join(dir, "findings.ndjson"),
		"FORETOP_STATE_DIR=" + filepath.Join(dir, "state"), "FORETOP_CLUSTER_NAME=prod",
	}
	r := foretop(t, nil, env, "doctor").want(t, 0)
	holds(t, r.stdout, "Configuration\n", "sample: 2 events in 2 records; form: native", "cluster: prod", "All is well.")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("%d entries after the examination, want the logs (%v)", len(entries), err)
	}

	r = foretop(t, nil, append(env, "FORETOP_CLUSTER_NAME="), "doctor").want(t, 0)
	holds(t, r.stdout, "! cluster: 2 of 2 events", "Nothing failed, warnings: 1")
	foretop(t, nil, append(env, "FORETOP_CLUSTER_NAME="), "doctor", "--strict").want(t, 1)

	r = foretop(t, nil, append(env, "FORETOP_NDJSON_PAHT=x"), "doctor", "--output", "json").want(t, 1)
	var got struct {
		OK     bool
		Failed int
	}
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || got.OK || got.Failed != 2 {
		t.Errorf("%+v, %v\n%s", got, err, r.stdout)
	}
	holds(t, r.stdout, "did you mean FORETOP_NDJSON_PATH?")
	holds(t, foretop(t, nil, nil, "doctor").want(t, 1).stdout, "no source is configured")
	holds(t, foretop(t, nil, nil, "doctor", "x").want(t, 1).stderr, "doctor --help says more")
	holds(t, foretop(t, nil, nil, "doctor", "--output", "xml").want(t, 1).stderr, "write text or json")
	holds(t, foretop(t, nil, nil, "doctor", "--timeout", "0s").want(t, 1).stderr, "--timeout must be more than 0s")
}

func TestAScanOfASourceSaysWhatItCannotDo(t *testing.T) {
	for args, want := range map[string]string{
		"--source file":                             "foretop scan PATH",
		"--source webhook":                          "--audit-log-path",
		"--source kafka --since 1h x.log":           "exclude each other",
		"--source kafka --since soon":               "write how long ago",
		"--since 1h x.log":                          "go with --source",
		"--source prod":                             `no source is called "prod"`,
		"--source kafka --until 2999-01-01":         "lies in the future",
		"--source kafka --since 24h --output table": "FORETOP_KAFKA_BROKERS",
	} {
		r := foretop(t, nil, nil, append([]string{"scan"}, strings.Fields(args)...)...).want(t, 1)
		holds(t, r.stderr, want)
	}
}
