package cloudwatch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sources/sourcetest"
)

// open makes a running source for the usual log group.
func open(t *testing.T, cfg Config) (*reader, *sourcetest.Log, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewRegistry()
	src, log := newSource(t, cfg, Options{Store: newStore(t), Registerer: registry})
	return read(t, src), log, registry
}

// unwell waits until Health says all the words.
func (r *reader) unwell(words ...string) {
	r.t.Helper()
	r.eventually(fmt.Sprintf("Health says %q", words), func() bool {
		err := r.src.Health()
		if err == nil {
			return false
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				return false
			}
		}
		return true
	})
}

func (r *reader) well() {
	r.t.Helper()
	r.eventually("Health is well", func() bool { return r.src.Health() == nil })
}

func TestEventsAtTheBoundsOfStretchesAndOfOneMillisecondComeOnce(t *testing.T) {
	for name, exclusive := range map[string]bool{"the end of a range is part of it": false, "the end of a range is no part of it": true} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			s.exclusive = exclusive
			s.pageSize = 7 // pages end within milliseconds
			cfg := settings(t, testGroup)
			cfg.SweepInterval, cfg.Start = 20*time.Millisecond, "now"
			r, log, _ := open(t, cfg)
			r.eventually("reading begins", func() bool { return strings.Contains(log.String(), "reading begins") })
			began := time.Now().Add(5 * time.Millisecond)
			var bodies []string
			for i := range 600 { // three in each millisecond, so some lie at every bound there is
				body := fmt.Sprintf("event-%d", i)
				// Hidden from the fast pass: this is about the bounds of the sweep.
				s.put(testGroup, auditStream, body, began.Add(time.Duration(i/3)*time.Millisecond), began.Add(400*time.Millisecond))
				bodies = append(bodies, body)
			}
			r.all(bodies...)
			r.sweptPast(began.Add(300 * time.Millisecond))
			r.once(bodies...)
		})
	}
}

func TestAnEventThatArrivesBehindNewerOnesIsFoundByTheSweep(t *testing.T) {
	s := newService(t)
	cfg := settings(t, testGroup)
	r, _, registry := open(t, cfg)
	began := time.Now()
	s.put(testGroup, auditStream, "late", began.Add(50*time.Millisecond), began.Add(450*time.Millisecond))
	s.put(testGroup, auditStream, "newer", began.Add(100*time.Millisecond), began.Add(100*time.Millisecond))
	r.all("newer", "late")
	r.sweptPast(began.Add(200 * time.Millisecond))
	r.once("newer", "late")
	if n := metric(t, registry, "late_events_total"); n != 1 {
		t.Errorf("late_events_total is %v, want 1: the fast pass cannot have seen it", n)
	}
	if n := metric(t, registry, "lateness_seconds"); n != 2 {
		t.Errorf("the lateness of %v events was measured, want 2", n)
	}
}

func TestEmptyPagesWithATokenAreNotTheEnd(t *testing.T) {
	s := newService(t)
	s.pageSize, s.emptyPages = 2, 3
	r, _, _ := open(t, settings(t, testGroup))
	at := time.Now()
	for i := range 5 {
		s.put(testGroup, auditStream, fmt.Sprint("e", i), at, at)
	}
	r.all("e0", "e1", "e2", "e3", "e4")
	r.sweptPast(at)
	r.once("e0", "e1", "e2", "e3", "e4")
}

func TestAStretchWhoseTokenExpiresIsReadAgainWhole(t *testing.T) {
	s := newService(t)
	s.pageSize = 1
	var expired atomic.Int32
	s.fault = func(r *request) *apiError {
		if r.page == 3 && expired.Add(1) <= 4 {
			return &apiError{400, "InvalidParameterException", "The specified nextToken is expired."}
		}
		return nil
	}
	r, _, registry := open(t, settings(t, testGroup))
	at := time.Now()
	for i := range 5 {
		s.put(testGroup, auditStream, fmt.Sprint("e", i), at, at)
	}
	r.all("e0", "e1", "e2", "e3", "e4")
	r.sweptPast(at)
	r.once("e0", "e1", "e2", "e3", "e4")
	if n := metric(t, registry, "passes_repeated_total"); n < 4 {
		t.Errorf("%v stretches were repeated, want 4 or more", n)
	}
}

func TestATokenThatComesAgainDoesNotTurnIntoALoop(t *testing.T) {
	s := newService(t)
	s.pageSize = 1
	var broken atomic.Bool
	broken.Store(true)
	s.after = func(r *request, out *filterAnswer) {
		if broken.Load() && r.page > 1 {
			out.NextToken = r.in.NextToken
		}
	}
	r, _, registry := open(t, settings(t, testGroup))
	at := time.Now()
	for i := range 3 {
		s.put(testGroup, auditStream, fmt.Sprint("e", i), at, at)
	}
	r.eventually("stretches are repeated", func() bool { return metric(t, registry, "passes_repeated_total") >= 3 })
	for _, call := range s.calls("FilterLogEvents") {
		if call.page > 3 {
			t.Fatalf("page %d of a pass of 3 pages was asked for", call.page)
		}
	}
	if r.count("e2") > 0 {
		t.Fatal("the service gave what it should not yet")
	}
	broken.Store(false)
	r.all("e0", "e1", "e2")
	r.sweptPast(at)
	r.once("e0", "e1", "e2")
}

func TestThrottlingSlowsDownAndLeavesNoStretchOut(t *testing.T) {
	s := newService(t)
	s.pageSize = 2
	var n atomic.Int32
	s.fault = func(r *request) *apiError {
		if r.op == "FilterLogEvents" && n.Add(1)%3 != 0 {
			return throttled()
		}
		return nil
	}
	r, _, registry := open(t, settings(t, testGroup))
	began := time.Now()
	var bodies []string
	for i := range 30 {
		bodies = append(bodies, fmt.Sprint("e", i))
		s.put(testGroup, auditStream, bodies[i], began.Add(time.Duration(i)*10*time.Millisecond), began)
	}
	r.all(bodies...)
	if rate := metric(t, registry, "calls_per_second"); rate >= 1000 {
		t.Errorf("%v calls a second are allowed while AWS throttles", rate)
	}
	r.sweptPast(began.Add(300 * time.Millisecond))
	r.once(bodies...)
}

func TestABadLogGroupIsNamedAndDoesNotHoldUpTheOthers(t *testing.T) {
	const other = "/aws/eks/other/cluster"
	tests := map[string]struct {
		fault *apiError
		words []string
	}{
		"no permission": {denied(), []string{"logs:FilterLogEvents", "arn:aws:logs:eu-central-1:" + testAccount + ":log-group:" + other}},
		"missing":       {&apiError{400, "ResourceNotFoundException", "no"}, []string{"there is no log group", other}},
		"expired":       {&apiError{400, "ExpiredTokenException", "The security token included in the request is expired"}, []string{"expired"}},
		"wrong key":     {&apiError{400, "UnrecognizedClientException", "The security token included in the request is invalid."}, []string{"credentials"}},
		"unknown":       {&apiError{400, "InvalidOperationException", "not supported for this class"}, []string{"refuses", other}},
		"no answer":     {&apiError{500, "InternalFailure", ""}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			s.group(testRegion, other)
			var cured atomic.Bool
			s.fault = func(r *request) *apiError {
				if r.op == "FilterLogEvents" && r.in.LogGroupName == other && !cured.Load() {
					return tt.fault
				}
				return nil
			}
			r, log, _ := open(t, settings(t, testGroup, other))
			at := time.Now()
			s.put(other, auditStream, "waits", at, at)
			s.put(testGroup, auditStream, "flows", at, at)
			r.all("flows")
			r.sweptPastOf(testGroup, at)
			if tt.words != nil {
				r.unwell(tt.words...)
			}
			r.eventually("the log says it", func() bool { return strings.Contains(log.String(), "log_group="+other) })
			if r.count("waits") > 0 {
				t.Fatal("the service gave what it refused")
			}
			cured.Store(true)
			r.all("waits")
			r.well()
			r.once("waits", "flows")
		})
	}
}

// sweptPastOf is sweptPast for one stream.
func (r *reader) sweptPastOf(stream string, at time.Time) {
	r.t.Helper()
	r.eventually("the sweep of "+stream+" comes past "+at.String(), func() bool {
		for _, g := range r.src.running() {
			if g.stream == stream && g.settled.Load() > at.UnixMilli() {
				return true
			}
		}
		return false
	})
}

func TestNoCredentialsAtAllEndTheRunWithAnExplanation(t *testing.T) {
	newService(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	src, _ := newSource(t, settings(t, testGroup), Options{Store: newStore(t)})
	err := src.Run(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "no AWS credentials") || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
		t.Errorf("Run returned %v", err)
	}
}

func TestCredentialsThatAreReplacedInTheirFileAreUsed(t *testing.T) {
	was := renewEvery
	renewEvery = 10 * time.Millisecond
	t.Cleanup(func() { renewEvery = was })
	s := newService(t)
	s.fault = func(r *request) *apiError {
		if r.key == "AKIDOLD" {
			return &apiError{400, "ExpiredTokenException", "The security token included in the request is expired"}
		}
		return nil
	}
	file := filepath.Join(t.TempDir(), "credentials")
	write := func(key string) {
		if err := os.WriteFile(file, []byte("[default]\naws_access_key_id="+key+"\naws_secret_access_key=s\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("AKIDOLD")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	r, _, _ := open(t, settings(t, testGroup))
	s.happen("e")
	r.unwell("credentials", "expired")
	write("AKIDNEW")
	r.all("e")
	r.well()
}

func TestAWrongClockOfThisMachineLosesNothing(t *testing.T) {
	for _, skew := range []time.Duration{-20 * time.Minute, 20 * time.Minute} {
		t.Run(skew.String(), func(t *testing.T) {
			s := newService(t)
			s.skew, s.strict = skew, true
			r, _, registry := open(t, settings(t, testGroup))
			r.eventually("the skew is known", func() bool { return metric(t, registry, "clock_skew_seconds") != 0 })
			if got := metric(t, registry, "clock_skew_seconds") - skew.Seconds(); got < -3 || got > 3 {
				t.Errorf("the measured skew is off by %v s", got)
			}
			at := s.now()
			s.put(testGroup, auditStream, "fresh", at, at)
			s.put(testGroup, auditStream, "late", at, at.Add(400*time.Millisecond))
			r.all("fresh", "late")
			r.eventually("the sweep comes past them", func() bool {
				return len(r.src.running()) == 1 && r.src.running()[0].settled.Load() > at.UnixMilli()
			})
			r.once("fresh", "late")
		})
	}
}

func TestASkewThatAWSDoesNotForgiveIsNamed(t *testing.T) {
	s := newService(t)
	s.skew = 20 * time.Minute
	s.fault = func(r *request) *apiError {
		if r.op == "FilterLogEvents" {
			return &apiError{403, "InvalidSignatureException", "Signature expired"}
		}
		return nil
	}
	r, _, _ := open(t, settings(t, testGroup))
	r.unwell("clock", "20m", "behind")
}

func TestAnEmulationThatIgnoresThePrefixOfStreamsGivesAuditEventsOnly(t *testing.T) {
	s := newService(t)
	s.anyStream = true
	r, _, registry := open(t, settings(t, testGroup))
	at := time.Now()
	s.put(testGroup, "kube-apiserver-0123456789abcdef", "no audit", at, at)
	s.put(testGroup, "authenticator-0123456789abcdef", "no audit either", at, at)
	s.put(testGroup, auditStream, "audit", at, at)
	r.all("audit")
	r.sweptPast(at)
	if r.count("no audit")+r.count("no audit either") > 0 {
		t.Error("events of other streams were handed on")
	}
	if metric(t, registry, "other_streams_total") == 0 {
		t.Error("they were not counted")
	}
}

func TestAStreamThatAppearsLaterIsReadFromItsFirstEvent(t *testing.T) {
	s := newService(t)
	r, _, _ := open(t, settings(t, testGroup))
	s.happen("first")
	r.all("first")
	at := time.Now()
	s.put(testGroup, "kube-apiserver-audit-new", "second", at, at)
	r.all("second")
}

func TestABatchThatIsGivenBackIsReadAgainAndThePositionWaits(t *testing.T) {
	s := newService(t)
	registry := prometheus.NewRegistry()
	src, _ := newSource(t, settings(t, testGroup), Options{Store: newStore(t), Registerer: registry})
	var refusals atomic.Int32
	r := readWith(t, src, func(r *reader) {
		r.settle = func(*pipeline.Batch) error {
			if refusals.Add(1) <= 3 {
				return errors.New("the sink is down")
			}
			return nil
		}
	})
	at := time.Now()
	s.put(testGroup, auditStream, "e", at, at)
	r.eventually("it comes again until it is handled", func() bool { return r.count("e") >= 4 })
	r.sweptPast(at)
	if n := r.count("e"); n != 4 {
		t.Errorf("it was delivered %d times, want 4", n)
	}
	if n := metric(t, registry, "redeliveries_total"); n != 3 {
		t.Errorf("redeliveries_total is %v, want 3", n)
	}
}

func TestAFullPipelineStopsTheReadingOfPages(t *testing.T) {
	s := newService(t)
	s.pageSize = 10
	at := time.Now()
	for i := range 2000 {
		s.put(testGroup, auditStream, fmt.Sprint("e", i), at, at)
	}
	cfg := settings(t, testGroup)
	cfg.BatchRecords = 10
	src, _ := newSource(t, cfg, Options{Store: newStore(t)})
	gate := make(chan struct{})
	r := readWith(t, src, func(r *reader) {
		r.settle = func(*pipeline.Batch) error { <-gate; return nil }
	})
	r.eventually("a batch is offered", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.seen) > 0 })
	time.Sleep(1200 * time.Millisecond) // the sweep comes to its batch too
	before := len(s.calls("FilterLogEvents"))
	time.Sleep(300 * time.Millisecond)
	if n := len(s.calls("FilterLogEvents")); n != before {
		t.Errorf("%d pages were read while nothing was taken", n-before)
	}
	close(gate)
	r.all("e0", "e1999")
	r.sweptPast(at)
	for i := range 2000 {
		r.once(fmt.Sprint("e", i))
	}
}
