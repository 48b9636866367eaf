package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeService is what the admin server looks at.
type fakeService struct {
	components []Component
	draining   bool
	broken     error
}

func (f *fakeService) options() AdminOptions {
	return AdminOptions{
		Gatherer: NewRegistry(),
		Ready:    func() []Component { return f.components },
		Draining: func() bool { return f.draining },
		Alive:    func() error { return f.broken },
	}
}

func get(t *testing.T, o AdminOptions, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	adminHandler(o).ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestReadinessNamesEveryComponent(t *testing.T) {
	up := Component{Kind: "source", Name: "audit", Ready: true}
	down := Component{Kind: "sink", Name: "elasticsearch", Detail: "401 from https://elastic:hunter2@es:9200"}
	for name, tc := range map[string]struct {
		service fakeService
		code    int
		status  string
	}{
		"all components are ready":    {fakeService{components: []Component{up}}, 200, "ready"},
		"one component is not":        {fakeService{components: []Component{up, down}}, 503, "not ready"},
		"a draining service is never": {fakeService{components: []Component{up}, draining: true}, 503, "draining"},
	} {
		t.Run(name, func(t *testing.T) {
			code, body := get(t, tc.service.options(), "/readyz")
			var got status
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatal(err)
			}
			if code != tc.code || got.Status != tc.status {
				t.Errorf("%d %s, want %d %s", code, got.Status, tc.code, tc.status)
			}
			want := make([]Component, len(tc.service.components))
			copy(want, tc.service.components)
			for i := range want {
				want[i].Detail = strings.Replace(want[i].Detail, "elastic:hunter2@", "***@", 1)
			}
			if diff := cmp.Diff(want, got.Components); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLivenessIsAboutTheProcessOnly(t *testing.T) {
	down := fakeService{components: []Component{{Kind: "sink", Name: "elasticsearch"}}}
	if code, body := get(t, down.options(), "/healthz"); code != 200 {
		t.Errorf("an outage of a sink ends the process: %d %s", code, body)
	}
	broken := fakeService{broken: errors.New("source audit ended")}
	if code, body := get(t, broken.options(), "/healthz"); code != 503 || !strings.Contains(body, "source audit ended") {
		t.Errorf("%d %s", code, body)
	}
}

func TestMetricsNameTheBuild(t *testing.T) {
	var s fakeService
	code, body := get(t, s.options(), "/metrics")
	for _, name := range []string{"foretop_build_info{", "go_goroutines ", "process_start_time_seconds "} {
		if code != 200 || !strings.Contains(body, name) {
			t.Errorf("%d, %s is missing", code, name)
		}
	}
}

func TestProfilesAreServedOnRequestOnly(t *testing.T) {
	var s fakeService
	o := s.options()
	if code, _ := get(t, o, "/debug/pprof/cmdline"); code != 404 {
		t.Errorf("unasked: %d", code)
	}
	o.Pprof = true
	if code, _ := get(t, o, "/debug/pprof/"); code != 200 {
		t.Errorf("asked: %d", code)
	}
}

func TestOnlyGetIsAnswered(t *testing.T) {
	var s fakeService
	w := httptest.NewRecorder()
	adminHandler(s.options()).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/readyz", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	var s fakeService
	ctx, cancel := context.WithCancel(t.Context())
	address, served := make(chan string, 1), make(chan error, 1)
	go func() {
		served <- Serve(ctx, NewAdmin(s.options()), "127.0.0.1:0", func(a net.Addr) { address <- a.String() })
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + <-address + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(response.Body)
	response.Body.Close()
	if !strings.Contains(string(body), "alive") {
		t.Errorf("%s", body)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestAnAddressInUseIsAnError(t *testing.T) {
	var s fakeService
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	err = Serve(t.Context(), NewAdmin(s.options()), taken.Addr().String(), nil)
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("got %v", err)
	}
}
