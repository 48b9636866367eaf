package offsets

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// model is the naive statement of what a Tracker promises: a list of positions and a scan from its start.
type model struct {
	next    []int64
	settled []bool
	ok      []bool
}

func (m *model) ready() (int64, bool) {
	var pos int64
	found := false
	for i := range m.next {
		if !m.settled[i] || !m.ok[i] {
			break
		}
		pos, found = m.next[i], true
	}
	return pos, found
}

func (m *model) prefix() int {
	n := 0
	for n < len(m.next) && m.settled[n] && m.ok[n] {
		n++
	}
	return n
}

func (m *model) pinned() bool {
	for i := range m.next {
		if m.settled[i] && !m.ok[i] {
			return true
		}
	}
	return false
}

func (m *model) open() (out []int) {
	for i := range m.next {
		if !m.settled[i] {
			out = append(out, i)
		}
	}
	return out
}

// run drives tracker and model through one history; pick(n) chooses below n.
func run(t interface {
	Fatalf(format string, args ...any)
	Helper()
}, limit, steps int, pick func(n int) int) {
	t.Helper()
	tr := New(limit)
	var m model
	full, cancel := context.WithCancel(context.Background())
	cancel() // an Add that would block returns at once
	last := int64(-1)
	for range steps {
		open := m.open()
		if len(open) == 0 || pick(2) == 0 {
			next := int64(len(m.next)*10 + pick(10))
			tok, err := tr.Add(full, next)
			switch {
			case m.pinned():
				if !errors.Is(err, ErrPinned) {
					t.Fatalf("Add after a failure: %v", err)
				}
			case len(m.next)-m.prefix() >= limit:
				if !errors.Is(err, context.Canceled) {
					t.Fatalf("Add beyond the cap of %d did not block: %v", limit, err)
				}
			case err != nil || tok != Token(len(m.next)):
				t.Fatalf("Add: token %d, error %v", tok, err)
			default:
				m.next, m.settled, m.ok = append(m.next, next), append(m.settled, false), append(m.ok, false)
			}
		} else {
			i, ok := open[pick(len(open))], pick(20) != 0
			m.settled[i], m.ok[i] = true, ok
			tr.Settle(Token(i), ok)
		}
		got, ok := tr.Ready()
		want, wantOK := m.ready()
		if got != want || ok != wantOK {
			t.Fatalf("Ready is %d,%v; the prefix of the model ends at %d,%v", got, ok, want, wantOK)
		}
		if ok && got < last {
			t.Fatalf("Ready went back from %d to %d", last, got)
		}
		if ok {
			last = got
		}
		if tr.Unsettled() != len(m.open()) || tr.Pinned() != m.pinned() {
			t.Fatalf("unsettled %d, pinned %v; model %d, %v", tr.Unsettled(), tr.Pinned(), len(m.open()), m.pinned())
		}
	}
}

func TestReadyIsTheEndOfTheSettledPrefixWhateverTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 12).Draw(t, "limit")
		run(t, limit, rapid.IntRange(1, 80).Draw(t, "steps"), func(n int) int {
			return rapid.IntRange(0, n-1).Draw(t, "pick")
		})
	})
}

func FuzzTrackerAgreesWithModel(f *testing.F) {
	f.Add([]byte{3, 0, 1, 0, 2, 1, 0, 1, 1, 0, 1, 0})
	f.Add([]byte{1, 1, 1, 1, 1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) < 2 {
			return
		}
		limit, at := int(script[0]%16)+1, 1
		run(t, limit, min(len(script), 500), func(n int) int {
			b := script[at%len(script)]
			at++
			return int(b) % n
		})
	})
}

func TestAddBlocksAtTheCapUntilThePrefixMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := New(2)
		first, second := mustAdd(t, tr, 1), mustAdd(t, tr, 2)
		added := make(chan Token)
		go func() { added <- mustAdd(t, tr, 3) }()
		synctest.Wait()
		tr.Settle(second, true) // behind the gap: it frees nothing
		synctest.Wait()
		select {
		case <-added:
			t.Fatal("Add went on although two positions are not in the prefix")
		default:
		}
		tr.Settle(first, true)
		tr.Settle(<-added, true)
		if next, ok := tr.Ready(); next != 3 || !ok {
			t.Fatalf("ready %d, %v", next, ok)
		}
	})
}

func TestAFailureWakesABlockedAdd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := New(1)
		tok := mustAdd(t, tr, 1)
		failed := make(chan error)
		go func() {
			_, err := tr.Add(t.Context(), 2)
			failed <- err
		}()
		synctest.Wait()
		tr.Settle(tok, false)
		if err := <-failed; !errors.Is(err, ErrPinned) {
			t.Fatalf("got %v", err)
		}
	})
}

func TestWaitEndsWhenAllIsSettledOrTheContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := New(0)
		tok := mustAdd(t, tr, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := tr.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Wait with one unsettled: %v", err)
		}
		go func() {
			time.Sleep(time.Minute)
			tr.Settle(tok, false)
		}()
		if err := tr.Wait(t.Context()); err != nil {
			t.Fatalf("Wait: %v", err)
		}
	})
}

func TestSettlingTwiceOrAStrangerPanics(t *testing.T) {
	for name, tok := range map[string]Token{"a token settled before": 0, "a token never given": 7} {
		t.Run(name, func(t *testing.T) {
			tr := New(4)
			tr.Settle(mustAdd(t, tr, 1), true)
			defer func() {
				if recover() == nil {
					t.Fatal("no panic")
				}
			}()
			tr.Settle(tok, true)
		})
	}
}

func mustAdd(t *testing.T, tr *Tracker, next int64) Token {
	t.Helper()
	tok, err := tr.Add(t.Context(), next)
	if err != nil {
		t.Errorf("Add(%d): %v", next, err)
	}
	return tok
}

func BenchmarkAddSettle(b *testing.B) {
	tr := New(0)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		tok, err := tr.Add(b.Context(), int64(i))
		if err != nil {
			b.Fatal(err)
		}
		tr.Settle(tok, true)
	}
}
