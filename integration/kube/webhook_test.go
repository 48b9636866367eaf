//go:build kube

package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	clusterName = "prod-eu" // the guide's
	postToken   = "0123456789abcdef0123456789abcdef"
	// downtime is how long nobody listens after a kill. The API server's attempts are after 0, 10, 25, 47 and 81 s.
	downtime = 20 * time.Second
)

// world is an API server that posts to Foretop, as the guide says, and an Elasticsearch.
type world struct {
	*guide
	foretop, search string
	dir             string
	address, admin  string // of Foretop
	api             *apiServer
	runs            int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	p := newPKI(t)
	w := &world{guide: readGuide(t), foretop: buildForetop(t), search: setting(t, "FORETOP_TEST_ELASTICSEARCH"), dir: t.TempDir(), address: freePort(t), admin: freePort(t)}
	p.server("foretop")
	write(t, w.dir+"/token", postToken+"\n")
	policy := write(t, w.dir+"/policy.yaml", w.policy)
	kubeconfig := write(t, w.dir+"/webhook.kubeconfig", replace(t, w.kubeconfig,
		"foretop.example:8443", w.address, "/etc/kubernetes/audit/foretop-ca.crt", p.path("ca.crt"), "THE-TOKEN", postToken))
	flags := strings.Split(replace(t, strings.Join(w.flags, "\n"),
		"/etc/kubernetes/audit/policy.yaml", policy, "/etc/kubernetes/audit/webhook.kubeconfig", kubeconfig), "\n")
	for name, value := range map[string]string{
		"FORETOP_WEBHOOK_ADDRESS": w.address, "FORETOP_WEBHOOK_TOKEN_FILE": w.dir + "/token",
		"FORETOP_WEBHOOK_TLS_CERT_FILE": p.path("foretop.crt"), "FORETOP_WEBHOOK_TLS_KEY_FILE": p.path("foretop.key"),
		"FORETOP_WEBHOOK_QUEUE_DIR": w.dir + "/queue", "FORETOP_ELASTICSEARCH_ADDRESSES": w.search,
	} {
		if w.environment[name] == "" {
			t.Fatalf("the guide does not set %s", name)
		}
		w.environment[name] = value
	}
	w.environment["FORETOP_STATE_DIR"], w.environment["FORETOP_ADMIN_ADDRESS"] = w.dir+"/state", w.admin
	start(t, "setup", pairs(map[string]string{"FORETOP_ELASTICSEARCH_ADDRESSES": w.search}), w.foretop, "setup", "elasticsearch").succeed(t, time.Minute)
	w.api = startAPIServer(t, p, flags)
	return w
}

// run starts Foretop, with or without its queue.
func (w *world) run(t *testing.T, queue bool) *process {
	t.Helper()
	env := maps.Clone(w.environment)
	if !queue {
		delete(env, "FORETOP_WEBHOOK_QUEUE_DIR")
	}
	w.runs++
	p := start(t, "foretop "+strconv.Itoa(w.runs), pairs(env), w.foretop, "run")
	eventually(t, time.Minute, func(ctx context.Context) error {
		p.running(t)
		_, err := fetch(ctx, http.MethodGet, "http://"+w.admin+"/readyz", "")
		return err
	})
	return p
}

func fetch(ctx context.Context, method, url, body string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %d %.200s", url, resp.StatusCode, text)
	}
	return text, err
}

type finding struct {
	Event struct{ ID string }
	Rule  struct{ Name string }
}

// scanned are the ids of the findings in the API server's own log file, sorted, and how often each rule was true.
func (w *world) scanned(t *testing.T) (ids []string, rules map[string]int) {
	t.Helper()
	out := start(t, "scan", nil, w.foretop, "scan", "--output", "ndjson", "--cluster", clusterName, w.api.log).succeed(t, time.Minute)
	rules = make(map[string]int)
	for line := range strings.Lines(out) {
		var f finding
		if json.Unmarshal([]byte(line), &f) == nil && f.Event.ID != "" {
			ids = append(ids, f.Event.ID)
			rules[f.Rule.Name]++
		}
	}
	slices.Sort(ids)
	return ids, rules
}

// stored are the ids of the findings in Elasticsearch, sorted.
func (w *world) stored(ctx context.Context) ([]string, error) {
	if _, err := fetch(ctx, http.MethodPost, w.search+"/logs-foretop.findings-default/_refresh", ""); err != nil {
		return nil, err
	}
	text, err := fetch(ctx, http.MethodPost, w.search+"/logs-foretop.findings-default/_search", `{"size":10000,"_source":["event.id"]}`)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Hits struct {
			Hits []struct {
				Source finding `json:"_source"`
			}
		}
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, err
	}
	var ids []string
	for _, h := range answer.Hits.Hits {
		ids = append(ids, h.Source.Event.ID)
	}
	slices.Sort(ids)
	return ids, nil
}

// same waits until Elasticsearch holds each finding of the log file, each once, and nothing else.
func (w *world) same(t *testing.T, within time.Duration) {
	t.Helper()
	began := time.Now()
	eventually(t, within, func(ctx context.Context) error {
		want, _ := w.scanned(t)
		got, err := w.stored(ctx)
		if err != nil {
			return err
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("%d findings are stored, %d different; the log file has %d", len(got), len(slices.Compact(slices.Clone(got))), len(want))
		}
		return nil
	})
	ids, rules := w.scanned(t)
	t.Logf("the same %d findings in the log file and in Elasticsearch, %s after the last request: %v", len(ids), time.Since(began).Round(time.Second), rules)
}

// TestEachFindingOfTheAPIServersOwnLogIsStoredOnceWhenForetopIsKilled compares what the API server posted with what it
// wrote to its log file.
func TestEachFindingOfTheAPIServersOwnLogIsStoredOnceWhenForetopIsKilled(t *testing.T) {
	w := newWorld(t)
	round := 0
	attack := func(rounds int) {
		for range rounds {
			w.api.attack(t, round)
			round++
		}
	}
	attack(2) // while Foretop has never run
	for _, queue := range []bool{false, true} {
		p := w.run(t, queue)
		attack(5)
		w.same(t, time.Minute)
		// Killed while it has taken requests that it has not answered: the next batch comes every two seconds.
		stop := time.Now().Add(5 * time.Second)
		for time.Now().Before(stop) {
			attack(1)
		}
		p.kill()
		down := time.Now()
		for time.Since(down) < downtime {
			attack(1)
			time.Sleep(time.Second)
		}
		t.Logf("queue %t: nobody has listened for %s, after %d rounds", queue, time.Since(down).Round(time.Second), round)
		p = w.run(t, queue)
		attack(5)
		w.same(t, 2*time.Minute)
		if n, err := w.api.dropped(t.Context()); err != nil || n != 0 {
			t.Errorf("the API server dropped %.0f times (%v)", n, err)
		}
		if text, err := os.ReadFile(w.dir + "/state/dead-letters.ndjson"); err == nil && len(text) > 0 {
			t.Errorf("dead letters: %.500s", text)
		} else if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
		p.kill()
	}
	_, rules := w.scanned(t)
	if len(rules) < 5 || rules["Service opened on a node port"] != round {
		t.Errorf("%d rounds make these findings: %v", round, rules)
	}
}
