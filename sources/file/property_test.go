package file

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// history is one random life of a log that is written, rotated and read with interruptions.
type history struct {
	paths []string
	steps []step
}

type step struct {
	what  string
	n     int
	after time.Duration
}

func drawHistory(t *rapid.T) history {
	h := history{paths: []string{rapid.SampledFrom([]string{"audit.log", ".", "audit*"}).Draw(t, "paths")}}
	// Rotations are apart by more than a look, as in life: closer together, a copy may be read twice.
	what := rapid.SampledFrom([]string{
		"write", "write", "write", "half", "rename", "copytruncate", "as the API server", "compress", "restart", "crash", "down", "up",
	})
	for range rapid.IntRange(1, 25).Draw(t, "steps") {
		h.steps = append(h.steps, step{
			what: what.Draw(t, "what"), n: rapid.IntRange(1, 80).Draw(t, "n"),
			after: time.Duration(rapid.IntRange(1500, 20_000).Draw(t, "after")) * time.Millisecond,
		})
	}
	return h
}

// life plays a history and knows what has to arrive.
type life struct {
	*world
	written  []string // numbers of all lines
	half     string   // an unfinished line
	up       bool
	repeats  bool // the position of some lines was lost in a crash
	rotated  int
	got      map[string]int
	packable []string
}

func (l *life) do(s step) {
	switch s.what {
	case "write":
		for range s.n {
			l.line("\n")
		}
	case "half":
		l.line("")
	case "rename":
		l.rotate(fmt.Sprintf("audit.log-%d", l.rotated), l.world.rename)
	case "as the API server":
		l.rotate(fmt.Sprintf("audit-2026-03-04T08-48-%02d.932.log", l.rotated), l.world.rename)
	case "copytruncate":
		l.rotate(fmt.Sprintf("audit.log-%d", l.rotated), l.copyTruncate)
	case "compress":
		if len(l.packable) > 0 {
			l.compress(l.packable[0])
			l.packable = l.packable[1:]
		}
	case "restart", "down":
		l.down()
	case "crash":
		if l.up {
			l.repeats = true
			l.store.crashed.Store(true)
			time.Sleep(s.after) // what is read now is not remembered
			l.down()
			l.store.crashed.Store(false)
		}
	}
	if s.what == "restart" || s.what == "crash" || s.what == "up" {
		if !l.up {
			l.start()
			l.up = true
		}
	}
	time.Sleep(s.after)
}

func (l *life) down() {
	if l.up {
		l.stop()
		l.up = false
	}
}

// line writes one line, or the end of an unfinished one.
func (l *life) line(end string) {
	text := l.half
	if text == "" {
		n := fmt.Sprintf(`{"n":%d}`, len(l.written))
		l.written = append(l.written, n)
		text = n[:3]
		appendTo(l.t, l.path("audit.log"), text)
		text = n[3:]
	}
	l.half = text
	if end != "" {
		appendTo(l.t, l.path("audit.log"), text+end)
		l.half = ""
	}
}

func (l *life) rotate(name string, how func(from, to string)) {
	if _, err := os.Stat(l.path("audit.log")); err != nil {
		return
	}
	if l.half != "" {
		l.line("\n")
	}
	l.rotated++
	how("audit.log", name)
	l.packable = append(l.packable, name)
}

func (l *life) check() error {
	for word := range strings.FieldsSeq(l.to.take()) {
		l.got[word]++
	}
	var bad []error
	for _, n := range l.written {
		if l.got[n] == 0 {
			bad = append(bad, fmt.Errorf("%s was never read", n))
		}
		if l.got[n] > 1 && !l.repeats {
			bad = append(bad, fmt.Errorf("%s was read %d times", n, l.got[n]))
		}
		delete(l.got, n)
	}
	for text := range l.got {
		bad = append(bad, fmt.Errorf("%q was read and never written so", text))
	}
	if len(bad) > 5 {
		bad = append(bad[:5], fmt.Errorf("and %d more", len(bad)-5))
	}
	return errors.Join(bad...)
}

func TestEachLineIsReadOnceWhateverRotationDoes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := drawHistory(rt)
		var err error
		synctest.Test(t, func(t *testing.T) {
			l := &life{world: newWorld(t, h.paths...), got: make(map[string]int)}
			l.start()
			l.up = true
			time.Sleep(2 * time.Second)
			for _, s := range h.steps {
				l.do(s)
			}
			if l.half != "" {
				l.line("\n")
			}
			if !l.up {
				l.start()
			}
			time.Sleep(15 * time.Minute)
			l.stop()
			err = l.check()
		})
		if err != nil {
			rt.Fatalf("%v\nin %+v", err, h)
		}
	})
}
