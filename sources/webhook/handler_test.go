package webhook

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/foretop/foretop/pkg/pipeline"
)

func TestAPostIsOneRecordAndAnsweredWhenItIsSettled(t *testing.T) {
	c := newConsumer()
	c.hold = func(*pipeline.Batch) bool { return true }
	s := serve(t, plain(), c.emit)
	answers := make(chan answer, 1)
	before := time.Now()
	go func() { answers <- s.post(list("1")) }()
	b := c.await(t, 1)
	select {
	case a := <-answers:
		t.Fatalf("answered with %d before it was settled", a.StatusCode)
	case <-time.After(100 * time.Millisecond):
	}
	b.Done(nil)
	if a := <-answers; a.StatusCode != http.StatusOK || a.text != "" {
		t.Errorf("%d %q, want 200", a.StatusCode, a.text)
	}
	r := b.Records[0]
	if len(b.Records) != 1 || string(r.Body) != list("1") || b.Stream != "prod" || r.Pos == "" || r.Meta != nil {
		t.Errorf("%+v", b)
	}
	if r.Time.Before(before) || r.Time.After(time.Now()) {
		t.Errorf("received at %s", r.Time)
	}
}

func TestPositionsAreUniqueOverProcesses(t *testing.T) {
	seen := make(map[string]bool)
	for range 2 {
		c := newConsumer()
		s := serve(t, plain(), c.emit)
		for range 3 {
			s.post(list("same"))
		}
		s.stop()
		for _, b := range c.batches {
			if seen[b.Records[0].Pos] {
				t.Errorf("position %s twice", b.Records[0].Pos)
			}
			seen[b.Records[0].Pos] = true
		}
	}
	if len(seen) != 6 {
		t.Errorf("%d records, want 6", len(seen))
	}
}

func TestWhatCannotBeTakenIsRefusedWithTheCodeThatSaysWhy(t *testing.T) {
	c := newConsumer()
	cfg := plain()
	cfg.MaxBody = 2048
	s := serve(t, cfg, c.emit)
	for _, tt := range []struct {
		name   string
		change func(*http.Request)
		code   int
		header map[string]string
	}{
		{"a wrong path", func(r *http.Request) { r.URL.Path = "/" }, 404, nil},
		{"a GET", func(r *http.Request) { r.Method, r.Body, r.ContentLength = http.MethodGet, nil, 0 }, 405, map[string]string{"Allow": "POST"}},
		{"a PUT", func(r *http.Request) { r.Method = http.MethodPut }, 405, map[string]string{"Allow": "POST"}},
		{"no content type", func(r *http.Request) { r.Header.Del("Content-Type") }, 415, nil},
		{"text", func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 415, nil},
		{"a form", func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }, 415, nil},
		{"a broken content type", func(r *http.Request) { r.Header.Set("Content-Type", "application/json; =") }, 415, nil},
		{"gzip", func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, 415, map[string]string{"Accept-Encoding": "identity"}},
		{"a body over the limit", func(r *http.Request) { *r = *request(t, s.url, secretToken, strings.Repeat(" ", 2049)) }, 413, nil},
		{"a body of unknown length over the limit", func(r *http.Request) {
			*r = *request(t, s.url, secretToken, strings.Repeat(" ", 2049))
			r.ContentLength = -1
		}, 413, nil},
		{"no token", func(r *http.Request) { r.Header.Del("Authorization") }, 401, map[string]string{"WWW-Authenticate": "Bearer"}},
		{"no token, and everything else wrong too", func(r *http.Request) {
			r.Header = http.Header{}
			r.Method, r.URL.Path = http.MethodDelete, "/x"
		}, 401, map[string]string{"WWW-Authenticate": "Bearer"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req := request(t, s.url, secretToken, list("1"))
			tt.change(req)
			a := do(t, client(t, nil, nil), req)
			if a.StatusCode != tt.code {
				t.Errorf("%d %q, want %d", a.StatusCode, a.text, tt.code)
			}
			for name, want := range tt.header {
				if got := a.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if !a.Close {
				t.Error("the connection stays open for more of the same")
			}
			if strings.Contains(a.text, "list") || a.text == "" {
				t.Errorf("the answer says %q", a.text)
			}
		})
	}
	if got := c.got(); len(got) > 0 {
		t.Errorf("taken: %q", got)
	}
	for _, a := range []string{"application/json", "application/json; charset=utf-8"} {
		req := request(t, s.url+"?timeout=30s", secretToken, list("1"))
		req.Header.Set("Content-Type", a)
		if got := do(t, client(t, nil, nil), req); got.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %q", a, got.StatusCode, got.text)
		}
	}
	if strings.Contains(s.log.String(), "auditID") || strings.Contains(s.log.String(), secretToken) {
		t.Errorf("the log holds a body or the token:\n%s", s.log)
	}
}

func TestJunkIsTakenSoThatNobodyPostsItForEver(t *testing.T) {
	c := newConsumer()
	s := serve(t, plain(), c.emit)
	bodies := []string{`{"kind":"Status"}`, "{", "", "\x00\xff", `[]`, `"text"`}
	for _, body := range bodies {
		if a := s.post(body); a.StatusCode != http.StatusOK {
			t.Errorf("%q: %d %s", body, a.StatusCode, a.text)
		}
	}
	if diff := cmp.Diff(bodies, c.got()); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsNotSettledInTimeIsAskedForAgainAndTheRepetitionWaitsForTheFirst(t *testing.T) {
	c := newConsumer()
	c.hold = func(*pipeline.Batch) bool { return true }
	cfg := plain()
	cfg.SettleTimeout = 150 * time.Millisecond
	s := serve(t, cfg, c.emit)
	a := s.post(list("1"))
	if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") != retryAfter || a.Close {
		t.Fatalf("%d, Retry-After %q, close %t", a.StatusCode, a.Header.Get("Retry-After"), a.Close)
	}
	if held := s.source.held.Load(); held != int64(len(list("1"))) {
		t.Errorf("%d bytes are counted, the body is still in the pipeline", held)
	}
	answers := make(chan answer, 1)
	go func() { answers <- s.post(list("1")) }()
	time.Sleep(50 * time.Millisecond)
	c.await(t, 1).Done(nil)
	if a := <-answers; a.StatusCode != http.StatusOK {
		t.Errorf("the repetition: %d %q", a.StatusCode, a.text)
	}
	if got := c.got(); len(got) != 1 {
		t.Errorf("%d copies are in the pipeline", len(got))
	}
	if held := s.source.held.Load(); held != 0 {
		t.Errorf("%d bytes are still counted", held)
	}
	// The same body after its settlement is a new one: nobody remembers it for ever.
	go func() { answers <- s.post(list("1")) }()
	c.await(t, 2).Done(nil)
	if a := <-answers; a.StatusCode != http.StatusOK {
		t.Errorf("%d %q", a.StatusCode, a.text)
	}
}

func TestAGivenBackBatchIsAskedForAgain(t *testing.T) {
	c := newConsumer()
	c.fate = func(*pipeline.Batch) error { return errors.New("given back") }
	s := serve(t, plain(), c.emit)
	if a := s.post(list("1")); a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("%d %q", a.StatusCode, a.text)
	}
}

func TestTheSendersOwnTimeoutIsKept(t *testing.T) {
	c := newConsumer()
	c.block = true
	s := serve(t, plain(), c.emit)
	began := time.Now()
	a := do(t, client(t, nil, nil), request(t, s.url+"?timeout=400ms", secretToken, list("1")))
	if took := time.Since(began); a.StatusCode != http.StatusServiceUnavailable || took > 390*time.Millisecond {
		t.Errorf("%d after %s", a.StatusCode, took)
	}
	r := &run{Source: s.source}
	for query, want := range map[string]time.Duration{
		"?timeout=30s": 20 * time.Second, "?timeout=10s": 8 * time.Second, "?timeout=1s": 500 * time.Millisecond,
		"": 20 * time.Second, "?timeout=junk": 20 * time.Second, "?timeout=-5s": 20 * time.Second,
	} {
		if got := r.deadline(request(t, s.url+query, "", ""), began).Sub(began); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

func TestAFullPipelineTakesNothingAndSaysSo(t *testing.T) {
	c := newConsumer()
	c.block = true
	cfg := plain()
	cfg.SettleTimeout = 50 * time.Millisecond
	s := serve(t, cfg, c.emit)
	if a := s.post(list("1")); a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("%d %q", a.StatusCode, a.text)
	}
	if held := s.source.held.Load(); held != 0 {
		t.Errorf("%d bytes are counted of what was not taken over", held)
	}
	c.mu.Lock()
	c.block = false
	c.mu.Unlock()
	if a := s.post(list("1")); a.StatusCode != http.StatusOK {
		t.Errorf("the repetition: %d %q", a.StatusCode, a.text)
	}
}

func TestTooMuchAtATimeIsPushedBack(t *testing.T) {
	c := newConsumer()
	c.hold = func(*pipeline.Batch) bool { return true }
	body := list("1")
	for name, change := range map[string]func(*Config){
		"requests": func(c *Config) { c.MaxRequests = 1 },
		"bytes":    func(c *Config) { c.MaxBody, c.MaxInFlight = 1024, 1024 },
	} {
		t.Run(name, func(t *testing.T) {
			c := newConsumer()
			c.hold = func(*pipeline.Batch) bool { return true }
			cfg := plain()
			change(&cfg)
			s := serve(t, cfg, c.emit)
			answers := make(chan answer, 1)
			first := body + strings.Repeat(" ", 1000-len(body))
			go func() { answers <- s.post(first) }()
			b := c.await(t, 1)
			if a := s.post(list("2")); a.StatusCode != http.StatusTooManyRequests || a.Header.Get("Retry-After") != retryAfter {
				t.Errorf("%d, Retry-After %q", a.StatusCode, a.Header.Get("Retry-After"))
			}
			b.Done(nil)
			<-answers
			go func() { answers <- s.post(list("2")) }()
			c.await(t, 2).Done(nil)
			if a := <-answers; a.StatusCode != http.StatusOK {
				t.Errorf("after the pressure: %d %q", a.StatusCode, a.text)
			}
		})
	}
}

func TestASenderThatHangsUpLeavesItsBodyInThePipelineAndNothingElse(t *testing.T) {
	c := newConsumer()
	c.hold = func(*pipeline.Batch) bool { return true }
	s := serve(t, plain(), c.emit)
	ctx, hangUp := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		resp, err := client(t, nil, nil).Do(request(t, s.url, secretToken, list("1")).WithContext(ctx))
		if err == nil {
			resp.Body.Close()
		}
		ended <- err
	}()
	b := c.await(t, 1)
	hangUp()
	if <-ended == nil {
		t.Fatal("an answer came")
	}
	eventually(t, "the request ends", func() bool { return s.source.requests.Load() == 0 })
	if b.Ctx.Err() != nil {
		t.Error("the batch is told that nobody wants it")
	}
	b.Done(nil)
	if held := s.source.held.Load(); held != 0 {
		t.Errorf("%d bytes are still counted", held)
	}
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(strings.TrimSuffix(s.url, "/audit"), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /audit HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\nContent-Length: 100\r\n\r\n{\"kind\":", secretToken)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("half a body: %v %v, want 400", resp, err)
	}
	resp.Body.Close()
	conn.Close()
	if got := c.got(); len(got) != 1 {
		t.Errorf("half a body was taken: %q", got)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("not within 10s: %s", what)
}
