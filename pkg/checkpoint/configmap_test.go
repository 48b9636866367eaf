package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"
)

func TestTheConfigMapIsAStore(t *testing.T) {
	conforms(t, func(t *testing.T) func() Store {
		f := newFakeAPI(t)
		return func() Store { return f.open(t) }
	})
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that says %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}

func TestTheNewestProcessOwnsThePositionsAndTheFormerOneOverwritesNothing(t *testing.T) {
	f := newFakeAPI(t)
	former, latter := f.open(t), f.open(t)
	put(t, former, "a", "1")
	if got := get(t, latter, "a"); got != "1" {
		t.Fatalf("the new owner reads %q", got)
	}
	for range 2 {
		if err := former.Put(t.Context(), "a", []byte("stale")); !errors.Is(err, ErrTakenOver) {
			t.Fatalf("the former owner's Put: %v", err)
		}
	}
	put(t, latter, "a", "2")
	if _, err := former.Get(t.Context(), "a"); !errors.Is(err, ErrTakenOver) {
		t.Errorf("the former owner's Get: %v", err)
	}
	if got := get(t, f.open(t), "a"); got != "2" {
		t.Errorf("a third process reads %q", got)
	}
}

func TestOnlyLookingForTheStoreTakesNothingOver(t *testing.T) {
	f := newFakeAPI(t)
	working := f.open(t)
	put(t, working, "a", "1")
	if err := f.open(t).Close(); err != nil {
		t.Fatal(err)
	}
	put(t, working, "a", "2")
}

func TestForeignChangesOfTheObjectLoseNothing(t *testing.T) {
	tests := map[string]func(f *fakeAPI){
		"somebody labels it":   func(f *fakeAPI) { f.edit(func(*object) {}) },
		"somebody deletes it":  func(f *fakeAPI) { f.change(func() { clear(f.objects) }) },
		"somebody replaces it": func(f *fakeAPI) { f.edit(func(o *object) { o.Metadata.Annotations, o.Data = nil, nil }) },
		"it is deleted while it is read again": func(f *fakeAPI) {
			f.edit(func(*object) {})
			f.change(func() {
				f.fault = func(_ http.ResponseWriter, r *http.Request) bool {
					if r.Method == http.MethodGet {
						f.change(func() { clear(f.objects); f.fault = nil })
					}
					return false
				}
			})
		},
	}
	for name, disturb := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFakeAPI(t)
			s := f.open(t)
			put(t, s, "kept", "1")
			put(t, s, "moves", "1")
			disturb(f)
			put(t, s, "moves", "2")
			s.Close()
			again := f.open(t)
			if kept, moved := get(t, again, "kept"), get(t, again, "moves"); kept != "1" || moved != "2" {
				t.Errorf("kept is %q, moves is %q", kept, moved)
			}
		})
	}
}

func TestAnotherProcessThatMakesTheDeletedObjectAnewIsTheOwner(t *testing.T) {
	f := newFakeAPI(t)
	former := f.open(t)
	put(t, former, "a", "1")
	f.change(func() { clear(f.objects) })
	put(t, f.open(t), "b", "2")
	if err := former.Put(t.Context(), "a", []byte("3")); !errors.Is(err, ErrTakenOver) {
		t.Errorf("the former owner's Put: %v", err)
	}
	if keys, err := f.open(t).Keys(t.Context(), ""); len(keys) != 1 || err != nil {
		t.Errorf("%v, %v", keys, err)
	}
}

func TestATokenThatTheKubeletReplacedIsReadAgain(t *testing.T) {
	f := newFakeAPI(t)
	s := f.open(t)
	put(t, s, "a", "1")
	f.mount(t, "token", "t2")
	f.change(func() { f.token = "t2" })
	put(t, s, "a", "2")
	// It is replaced between reading and sending: the answer is 401, and the next attempt has the new one.
	f.change(func() {
		f.fault = func(http.ResponseWriter, *http.Request) bool {
			f.change(func() { f.fault, f.token = nil, "t3" })
			f.mount(t, "token", "t3")
			return false
		}
	})
	put(t, s, "a", "3")
}

func TestAnAuthorityThatTheKubeletReplacedIsReadAgain(t *testing.T) {
	f := newFakeAPI(t)
	right := readText(t, filepath.Join(f.dir, "ca.crt"))
	s := f.open(t)
	f.mount(t, "ca.crt", otherAuthority(t))
	wantError(t, s.Put(t.Context(), "a", nil), "certificate")
	f.mount(t, "ca.crt", right)
	put(t, s, "a", "1")
}

func TestWhatIsRefusedSaysWhichRightIsMissing(t *testing.T) {
	f := newFakeAPI(t)
	s := f.open(t)
	fails := func(parts ...string) {
		t.Helper()
		_, err := s.Get(t.Context(), "a")
		wantError(t, err, append(parts, "ConfigMap foretop/positions")...)
	}
	f.change(func() { f.denied["create"] = true })
	fails("does not exist", "kubectl -n foretop create configmap positions", "403")
	f.change(func() { f.denied["create"], f.denied["get"] = false, true })
	fails("may not get it", "resourceNames [positions]", "verbs get and patch")
	f.change(func() { f.denied["get"], f.token = false, "another" })
	fails("does not accept the pod's token", "401")
	f.change(func() { f.token = "t1" })
	put(t, s, "a", "1")
	f.change(func() { f.denied["patch"] = true })
	wantError(t, s.Put(t.Context(), "a", []byte("2")), "may not patch it", "403")
	f.change(func() { f.denied["patch"] = false })
	put(t, s, "a", "3")
}

func TestAnAPIServerThatIsAwayIsAnErrorAndNothingIsLost(t *testing.T) {
	f := newFakeAPI(t)
	s := f.open(t)
	put(t, s, "a", "1")
	for _, code := range []int{429, 500, 503} {
		f.change(func() { f.fault = answer(http.MethodPatch, code) })
		wantError(t, s.Put(t.Context(), "a", []byte("2")), fmt.Sprint(code), "scripted")
		if got := get(t, s, "a"); got != "1" {
			t.Errorf("after a failed save the value is %q", got)
		}
	}
	f.change(func() {
		f.fault = func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }
	})
	wantError(t, s.Put(t.Context(), "a", []byte("2")), "cannot be reached")
	f.change(func() { f.fault = nil })
	put(t, s, "a", "3")
	if got := get(t, f.open(t), "a"); got != "3" {
		t.Errorf("saved is %q", got)
	}
}

func TestAWriteWhoseAnswerWasLostIsMadeAgain(t *testing.T) {
	f := newFakeAPI(t)
	s := f.open(t)
	put(t, s, "a", "1")
	f.change(func() {
		f.fault = func(_ http.ResponseWriter, r *http.Request) bool {
			f.change(func() { f.fault = nil })
			f.edit(func(o *object) { o.Data["a"] = "2" }) // it was made
			panic(http.ErrAbortHandler)
		}
	})
	if err := s.Put(t.Context(), "a", []byte("2")); err == nil {
		t.Fatal("a write without an answer is no success")
	}
	put(t, s, "a", "2")
	put(t, s, "a", "3")
	if got := get(t, f.open(t), "a"); got != "3" {
		t.Errorf("saved is %q", got)
	}
}

func TestTheStartWaitsForAnAPIServerThatComesBack(t *testing.T) {
	f := newFakeAPI(t)
	var asked atomic.Int32
	f.fault = func(w http.ResponseWriter, _ *http.Request) bool {
		if asked.Add(1) > 3 {
			return false
		}
		status(w, 503, "starting")
		return true
	}
	put(t, f.open(t), "a", "1")
	f.change(func() { f.fault = answer(http.MethodGet, 503) })
	_, err := f.open(t).Get(t.Context(), "a")
	wantError(t, err, "503")
}

func TestACallEndsWithItsContextAndTheWriteGoesOn(t *testing.T) {
	f := newFakeAPI(t)
	s := f.open(t)
	put(t, s, "a", "1")
	let := make(chan struct{})
	f.change(func() {
		f.fault = func(http.ResponseWriter, *http.Request) bool { <-let; return false }
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Put(ctx, "a", []byte("2")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Put: %v", err)
	}
	close(let)
	put(t, s, "b", "1") // comes after it
	if got := get(t, s, "a"); got != "2" {
		t.Errorf("a is %q", got)
	}
}

func TestCloseEndsWaitingCalls(t *testing.T) {
	f := newFakeAPI(t)
	s := f.open(t)
	put(t, s, "a", "1")
	blocked := make(chan struct{})
	f.change(func() {
		f.fault = func(_ http.ResponseWriter, r *http.Request) bool {
			io.Copy(io.Discard, r.Body) // the server notices a client that goes away once it has read everything
			close(blocked)
			<-r.Context().Done()
			return true
		}
	})
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if err := s.Put(t.Context(), "a", []byte("2")); err == nil {
			t.Error("a write that was cut off is no success")
		}
	})
	<-blocked
	waiting.Go(func() {
		if err := s.Put(t.Context(), "b", nil); err == nil {
			t.Error("a write that was not made is no success")
		}
	})
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	waiting.Wait()
}

func TestManyPutsAtOnceAreFewWrites(t *testing.T) {
	f := newFakeAPI(t)
	s := f.open(t)
	s.pace = rate.NewLimiter(rate.Every(50*time.Millisecond), 1)
	var puts sync.WaitGroup
	for i := range 200 {
		puts.Go(func() { put(t, s, fmt.Sprintf("k%d", i), "1") })
	}
	puts.Wait()
	if n := f.count("patch"); n > 10 {
		t.Errorf("200 puts were %d writes", n)
	}
	began, writes := time.Now(), f.count("patch")
	for range 3 {
		put(t, s, "k0", fmt.Sprint(time.Now().UnixNano()))
	}
	if took := time.Since(began); took < 100*time.Millisecond || f.count("patch") != writes+3 {
		t.Errorf("three writes after one another took %v", took)
	}
	put(t, s, "k1", "1")
	if f.count("patch") != writes+3 {
		t.Error("a value that is there already was written again")
	}
}

func TestAFullConfigMapRefusesMoreAndKeepsMoving(t *testing.T) {
	f := newFakeAPI(t)
	s := f.open(t)
	full := strings.Repeat("x", MaxValue-10)
	for i := range 16 {
		put(t, s, fmt.Sprintf("k%d", i), full)
	}
	wantError(t, s.Put(t.Context(), "k16", []byte(full)), "ConfigMap foretop/positions", "holds 1048576")
	put(t, s, "k3", strings.Repeat("y", MaxValue-10))
	if err := s.Delete(t.Context(), "k4"); err != nil {
		t.Fatal(err)
	}
	put(t, s, "k16", full)
}

func TestANameOfAConfigMapIsOneOrTwoParts(t *testing.T) {
	for text, want := range map[string][2]string{"a": {"", "a"}, "ns/a.b-c": {"ns", "a.b-c"}} {
		namespace, name, err := ParseConfigMap(text)
		if err != nil || namespace != want[0] || name != want[1] {
			t.Errorf("%s: %q, %q, %v", text, namespace, name, err)
		}
	}
	for _, text := range []string{"", "/", "a/", "/a", "a/b/c", "A", "a_b", "-a", "a/..", "n.s/a", strings.Repeat("a", 254)} {
		if _, _, err := ParseConfigMap(text); err == nil {
			t.Errorf("%q is taken for a name", text)
		}
	}
}

func TestThePlaceOfTheAPIServerComesFromTheKubelet(t *testing.T) {
	env := map[string]string{"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
	c, err := InCluster(func(name string) string { return env[name] })
	if err != nil || c.URL != "https://[fd00::1]:443" {
		t.Errorf("%+v, %v", c, err)
	}
	_, err = InCluster(func(string) string { return "" })
	wantError(t, err, "need a pod", "KUBERNETES_SERVICE_HOST")
	_, err = OpenConfigMap(ConfigMapOptions{Cluster: c, Name: "positions"})
	wantError(t, err, "automountServiceAccountToken")
}
