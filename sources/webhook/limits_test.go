package webhook

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/foretop/foretop/pkg/pipeline"
)

// peakHeap watches the heap while f runs and returns the most that it grew by, in bytes.
func peakHeap(f func()) int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before, peak := int64(m.HeapAlloc), int64(0)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			runtime.ReadMemStats(&m)
			peak = max(peak, int64(m.HeapAlloc)-before)
		}
	}()
	f()
	close(stop)
	<-stopped
	return peak
}

func p99(took []time.Duration) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// filler is a body that the HTTP client need not hold in memory.
func filler(n int64) io.Reader { return io.LimitReader(spaces{}, n) }

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestAFloodIsPushedBackWhileMemoryStaysFlatAndWhatIsAcceptedIsFast(t *testing.T) {
	places := make(chan struct{}, 4)
	var waiting, most atomic.Int64
	emit := func(ctx context.Context, b *pipeline.Batch) error { // a pipeline that takes 4 batches at a time, 2 ms each
		defer waiting.Add(-1)
		for n := waiting.Add(1); ; {
			if was := most.Load(); n <= was || most.CompareAndSwap(was, n) {
				break
			}
		}
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		time.AfterFunc(2*time.Millisecond, func() {
			<-places
			b.Done(nil)
		})
		return nil
	}
	cfg := plain()
	cfg.MaxBody, cfg.MaxInFlight, cfg.MaxRequests = 1<<20, 4<<20, 32
	s := serve(t, cfg, emit)
	hc := client(t, nil, nil)
	hc.Transport.(*http.Transport).MaxIdleConnsPerHost = 400
	var mu sync.Mutex
	var accepted []time.Duration
	codes := make(map[int]int)
	var posted atomic.Int64
	end := time.Now().Add(2 * time.Second)
	peak := peakHeap(func() {
		var flood sync.WaitGroup
		for i := range 320 { // ten times MaxRequests
			flood.Go(func() {
				body := list(fmt.Sprint(i)) + strings.Repeat(" ", 1000)
				for time.Now().Before(end) {
					began := time.Now()
					resp, err := hc.Do(request(t, s.url, secretToken, body+strings.Repeat(" ", int(posted.Add(1)%50))))
					if err != nil {
						t.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					mu.Lock()
					codes[resp.StatusCode]++
					if resp.StatusCode == http.StatusOK {
						accepted = append(accepted, time.Since(began))
					}
					mu.Unlock()
					time.Sleep(5 * time.Millisecond)
				}
			})
		}
		flood.Wait()
	})
	t.Logf("320 senders: answers %v, p99 of accepted %s, heap grew by %d MiB at most", codes, p99(accepted), peak>>20)
	if codes[200] == 0 || codes[429] == 0 || len(codes) != 2 {
		t.Errorf("answers %v, want 200 and 429 only", codes)
	}
	if peak > 64<<20 {
		t.Errorf("the heap grew by %d MiB", peak>>20)
	}
	// What is accepted waits behind so many at most, whatever the machine makes of that in time.
	if most.Load() > 32 {
		t.Errorf("%d requests wait for the pipeline, 32 are allowed", most.Load())
	}
	if held := s.source.held.Load(); held != 0 {
		t.Errorf("%d bytes are still counted", held)
	}
}

func TestSmallPostsAreFast(t *testing.T) {
	ca := newAuthority(t, "servers")
	for name, queue := range map[string]string{"answered when settled": "", "answered when queued": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			cfg := plain()
			cfg.TLSCertFile, cfg.TLSKeyFile = ca.server("server", time.Now().Add(time.Hour))
			cfg.QueueDir = queue
			s := serve(t, cfg, newConsumer().emit)
			hc := client(t, ca, nil)
			var took []time.Duration
			for i := range 500 {
				began := time.Now()
				if a := do(t, hc, request(t, s.url, secretToken, list(fmt.Sprint(i)))); a.StatusCode != http.StatusOK || a.ProtoMajor != 2 {
					t.Fatalf("%s %d", a.Proto, a.StatusCode)
				}
				took = append(took, time.Since(began))
			}
			t.Logf("500 posts one after the other over TLS and HTTP/2: p99 %s", p99(took))
		})
	}
}

func TestLargeAndCompressedBodiesAreRefusedUnread(t *testing.T) {
	c := newConsumer()
	cfg := plain()
	cfg.MaxInFlight = 16 << 20
	s := serve(t, cfg, c.emit)
	var bomb bytes.Buffer
	zip := gzip.NewWriter(&bomb)
	if _, err := io.Copy(zip, filler(50<<20)); err != nil {
		t.Fatal(err)
	}
	zip.Close()
	peak := peakHeap(func() {
		for _, tt := range []struct {
			name   string
			body   io.Reader
			length int64
			zipped bool
			code   int
		}{
			{"50 MB that say so", filler(50 << 20), 50 << 20, false, 413},
			{"50 MB that do not say so", filler(50 << 20), -1, false, 413},
			{"50 MB as gzip", bytes.NewReader(bomb.Bytes()), int64(bomb.Len()), true, 415},
		} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url, tt.body)
			if err != nil {
				t.Fatal(err)
			}
			req.ContentLength = tt.length
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+secretToken)
			if tt.zipped {
				req.Header.Set("Content-Encoding", "gzip")
			}
			resp, err := client(t, nil, nil).Do(req)
			if err != nil { // the server has hung up while the body was being sent; its answer may be lost with that
				t.Logf("%s: %v", tt.name, err)
				continue
			}
			if resp.StatusCode != tt.code {
				t.Errorf("%s: %d, want %d", tt.name, resp.StatusCode, tt.code)
			}
			resp.Body.Close()
		}
	})
	if peak > 80<<20 {
		t.Errorf("the heap grew by %d MiB", peak>>20)
	}
	if got := c.got(); len(got) > 0 {
		t.Errorf("%d were taken", len(got))
	}
	if a := s.post(list("1")); a.StatusCode != http.StatusOK {
		t.Errorf("afterwards: %d", a.StatusCode)
	}
}

func TestSlowSendersAndIdleConnectionsLeaveRoomForOthers(t *testing.T) {
	c := newConsumer()
	cfg := plain()
	cfg.ReadTimeout = 500 * time.Millisecond
	cfg.MaxConnections = 300
	s := serve(t, cfg, c.emit)
	address := strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/audit")
	dial := func(first string) net.Conn {
		t.Helper()
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		fmt.Fprint(conn, first)
		return conn
	}
	head := "POST /audit HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n"
	var slow []net.Conn
	peak := peakHeap(func() {
		for range 100 {
			slow = append(slow, dial(""), dial(head), dial(head+"Authorization: Bearer "+secretToken+"\r\n\r\n{"))
		}
		// All places are taken, by senders who say nothing, half a header, or half a body.
		began := time.Now()
		if a := s.post(list("1")); a.StatusCode != http.StatusOK {
			t.Errorf("%d", a.StatusCode)
		}
		t.Logf("with 300 slow connections of 300 allowed, a post took %s", time.Since(began))
	})
	if peak > 64<<20 {
		t.Errorf("the heap grew by %d MiB", peak>>20)
	}
	for i, conn := range slow {
		if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(conn)
		if err != nil {
			t.Errorf("connection %d is still open: %v", i, err)
		}
		if i%3 == 2 && !strings.HasPrefix(string(text), "HTTP/1.1 408") {
			t.Errorf("half a body: %.40q, want 408", text)
		}
	}
	if got := c.got(); len(got) != 1 {
		t.Errorf("%d were taken", len(got))
	}
	if held := s.source.held.Load(); held != 0 {
		t.Errorf("%d bytes are still counted", held)
	}
}

func TestManyRequestsShareOneHTTP2Connection(t *testing.T) {
	ca := newAuthority(t, "servers")
	cfg := plain()
	cfg.TLSCertFile, cfg.TLSKeyFile = ca.server("server", time.Now().Add(time.Hour))
	c := newConsumer()
	s := serve(t, cfg, c.emit)
	hc := client(t, ca, nil)
	var dials atomic.Int64
	transport := hc.Transport.(*http.Transport)
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	do(t, hc, request(t, s.url, secretToken, list("0")))
	var posting sync.WaitGroup
	for i := range 200 {
		posting.Go(func() {
			a := do(t, hc, request(t, s.url, secretToken, list(fmt.Sprint(i+1))+strings.Repeat(" ", 20_000)))
			if a.StatusCode != http.StatusOK || a.ProtoMajor != 2 || a.TLS.Version != tls.VersionTLS13 {
				t.Errorf("%s %d", a.Proto, a.StatusCode)
			}
		})
	}
	posting.Wait()
	if len(c.got()) != 201 || dials.Load() != 1 {
		t.Errorf("%d were taken over %d connections", len(c.got()), dials.Load())
	}
}

func TestAWaitingRequestOutlivesTheReadTimeout(t *testing.T) {
	ca := newAuthority(t, "servers")
	for _, secure := range []bool{false, true} {
		c := newConsumer()
		c.hold = func(*pipeline.Batch) bool { return true }
		cfg := plain()
		cfg.ReadTimeout = 100 * time.Millisecond
		if secure {
			cfg.TLSCertFile, cfg.TLSKeyFile = ca.server("server", time.Now().Add(time.Hour))
		}
		s := serve(t, cfg, c.emit)
		s.ca = ca
		answers := make(chan answer, 1)
		go func() { answers <- s.post(list("1")) }()
		b := c.await(t, 1)
		time.Sleep(300 * time.Millisecond)
		b.Done(nil)
		if a := <-answers; a.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %q", a.Proto, a.StatusCode, a.text)
		}
	}
}

func TestAConnectionOverWhichNobodyProvesAnythingIsClosedAndOthersStay(t *testing.T) {
	ca := newAuthority(t, "servers")
	cfg := plain()
	cfg.ReadTimeout = 300 * time.Millisecond
	cfg.TLSCertFile, cfg.TLSKeyFile = ca.server("server", time.Now().Add(time.Hour))
	s := serve(t, cfg, newConsumer().emit)
	hc := client(t, ca, nil)
	var dials atomic.Int64
	hc.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	if a := do(t, hc, request(t, s.url, secretToken, list("1"))); a.StatusCode != http.StatusOK {
		t.Fatal(a.StatusCode)
	}
	dialer := &tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, NextProtos: []string{"h2"}}}
	idle, err := dialer.DialContext(t.Context(), "tcp", strings.TrimSuffix(strings.TrimPrefix(s.url, "https://"), "/audit"))
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	fmt.Fprint(idle, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00") // the preface, and empty settings
	if err := idle.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := io.Copy(io.Discard, idle); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Error("a connection without any request stays open")
	}
	t.Logf("closed after %s", time.Since(began))
	if a := do(t, hc, request(t, s.url, secretToken, list("2"))); a.StatusCode != http.StatusOK || dials.Load() != 1 {
		t.Errorf("%d over %d connections: the one of a known sender was closed too", a.StatusCode, dials.Load())
	}
}
