package file

import (
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/foretop/foretop/pkg/pipeline"
)

func TestATruncatedFileIsReadFromItsBeginning(t *testing.T) {
	long := "{\"n\":0,\"x\":\"" + strings.Repeat("y", 500) + "\"}\n"
	tests := []struct {
		name   string
		rotate func(w *world)
		want   string
	}{
		{"emptied, then written", func(w *world) {
			w.copyTruncate("audit.log", "copy")
			w.expect(time.Second, "")
			appendTo(w.t, w.path("audit.log"), lines(20, 2))
		}, numbers(20, 2)},
		{"shorter than before", func(w *world) {
			w.copyTruncate("audit.log", "copy")
			appendTo(w.t, w.path("audit.log"), lines(20, 1))
		}, numbers(20, 1)},
		{"grown beyond what was read before anybody looked", func(w *world) {
			w.copyTruncate("audit.log", "copy")
			appendTo(w.t, w.path("audit.log"), lines(20, 100))
		}, numbers(20, 100)},
		{"written from the old position on, which leaves a hole of zeros", func(w *world) {
			w.copyTruncate("audit.log", "copy")
			f, err := os.OpenFile(w.path("audit.log"), os.O_WRONLY, 0)
			if err != nil {
				w.t.Fatal(err)
			}
			defer f.Close()
			f.WriteAt([]byte(lines(20, 2)), int64(len(long)+len(lines(1, 2))))
		}, numbers(20, 2)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "audit.log")
				appendTo(t, w.path("audit.log"), long+lines(1, 2))
				w.start()
				w.expect(5*time.Second, strings.TrimSpace(long)+" "+numbers(1, 2))
				tt.rotate(w)
				w.expect(3*time.Second, tt.want)
				if n := w.src.follow.truncations.Load(); n != 1 {
					t.Errorf("%d truncations counted", n)
				}
				w.stop()
				w.start()
				w.expect(5*time.Second, "") // the positions of both contents are known
				w.stop()
			})
		})
	}
}

func TestWhatACopyHasBeyondTheTruncatedFileIsRead(t *testing.T) {
	for name, pattern := range map[string]string{"of one file": "audit.log", "of a directory": ".", "of a pattern": "audit*"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, pattern)
				appendTo(t, w.path("audit.log"), lines(0, 2))
				w.start()
				w.expect(2*time.Second, numbers(0, 2))
				appendTo(t, w.path("audit.log"), lines(2, 2)) // nobody looks before it is gone
				w.copyTruncate("audit.log", "audit.log.1")
				appendTo(t, w.path("audit.log"), lines(10, 1))
				time.Sleep(4 * time.Second)
				if got := sorted(w.to.take()); got != sorted(numbers(10, 1)+" "+numbers(2, 2)) {
					t.Errorf("got %q", got)
				}
				w.stop()
			})
		})
	}
}

func TestWhatRotatedWhileWeWereDownIsReadOnce(t *testing.T) {
	tests := []struct {
		name   string
		rotate func(w *world)
		want   []string
	}{
		{"renamed", func(w *world) {
			w.rename("audit.log", "audit.log.1")
			appendTo(w.t, w.path("audit.log"), lines(10, 2))
		}, []string{numbers(2, 2), numbers(10, 2)}},
		{"renamed as the API server does", func(w *world) {
			w.rename("audit.log", "audit-2026-03-04T08-48-00.932.log")
			appendTo(w.t, w.path("audit.log"), lines(10, 2))
		}, []string{numbers(2, 2), numbers(10, 2)}},
		{"renamed and compressed", func(w *world) {
			w.rename("audit.log", "audit.log.1")
			w.compress("audit.log.1")
			appendTo(w.t, w.path("audit.log"), lines(10, 2))
		}, []string{numbers(2, 2), numbers(10, 2)}},
		{"copied and truncated", func(w *world) {
			w.copyTruncate("audit.log", "audit.log.1")
			appendTo(w.t, w.path("audit.log"), lines(10, 2))
		}, []string{numbers(2, 2), numbers(10, 2)}},
		{"copied, truncated and grown beyond the old position", func(w *world) {
			w.copyTruncate("audit.log", "audit.log.1")
			appendTo(w.t, w.path("audit.log"), lines(10, 200))
		}, []string{numbers(2, 2), numbers(10, 200)}},
		{"twice, so that one file came and went", func(w *world) {
			w.rename("audit.log", "audit.log.1")
			appendTo(w.t, w.path("audit.log"), lines(10, 2))
			w.rename("audit.log.1", "audit.log.2")
			w.compress("audit.log.2")
			w.rename("audit.log", "audit.log.1")
			appendTo(w.t, w.path("audit.log"), lines(20, 2))
		}, []string{numbers(2, 2), numbers(10, 2), numbers(20, 2)}},
		{"not at all", func(*world) {}, []string{numbers(2, 2)}},
	}
	for _, paths := range [][]string{{"audit.log"}, {"."}} {
		for _, tt := range tests {
			t.Run(paths[0]+" "+tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, paths...)
					old := w.path("audit.log.9") // complete before we first looked: only a directory wants it
					write(t, old, []byte(lines(900, 1)))
					if err := os.Chtimes(old, time.Time{}, time.Now().Add(-24*time.Hour)); err != nil {
						t.Fatal(err)
					}
					appendTo(t, w.path("audit.log"), lines(0, 2))
					w.start()
					time.Sleep(5 * time.Second)
					w.stop()
					first := numbers(0, 2)
					if paths[0] == "." {
						first = numbers(900, 1) + " " + first
					}
					if got := sorted(w.to.take()); got != sorted(first) {
						t.Fatalf("at first got %q", got)
					}
					appendTo(t, w.path("audit.log"), lines(2, 2))
					tt.rotate(w)
					w.start()
					time.Sleep(10 * time.Second)
					got := w.to.take()
					rest := got
					for _, want := range tt.want {
						if !strings.Contains(rest, want) {
							t.Fatalf("got %q, %q is missing", got, want)
						}
						rest = strings.Replace(rest, want, "", 1)
					}
					if strings.TrimSpace(rest) != "" {
						t.Fatalf("got %q, which has %q too much", got, rest)
					}
					w.stop()
					w.start()
					w.expect(10*time.Second, "")
					w.stop()
				})
			})
		}
	}
}

func TestAFileThatIsCompressedAfterItWasReadIsNotReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, ".")
		appendTo(t, w.path("audit.log"), lines(0, 100))
		w.start()
		w.expect(3*time.Second, numbers(0, 100))
		w.rename("audit.log", "audit.log.1")
		appendTo(t, w.path("audit.log"), lines(100, 1))
		w.expect(2*time.Second, numbers(100, 1))
		w.compress("audit.log.1")
		w.expect(10*time.Minute, "")
		w.stop()
		w.start()
		w.expect(10*time.Minute, "")
		w.stop()
	})
}

func TestACompressedFileIsReadOnceItIsComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, ".")
		data := gz(lines(0, 100))
		w.start()
		for i := range 10 { // slowly, as a compressor writes
			appendTo(t, w.path("a.gz"), string(data[i*len(data)/10:(i+1)*len(data)/10]))
			w.expect(2*time.Second, "")
		}
		w.expect(10*time.Second, numbers(0, 100))
		w.stop()
	})
}

func TestContentThatOnlyBeginsAlikeIsReadInFull(t *testing.T) {
	head := "{\"head\":\"" + strings.Repeat("x", printLength) + "\"}\n"
	pack := map[string]func(string) []byte{"plain": func(s string) []byte { return []byte(s) }, "compressed": gz}
	for name, pack := range pack {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, ".")
				write(t, w.path("a"), []byte(head+lines(100, 20)))
				w.start()
				w.expect(5*time.Second, strings.TrimSpace(head)+" "+numbers(100, 20))
				w.stop()
				write(t, w.path("b"), pack(head+lines(200, 20)))
				w.start()
				w.expect(2*time.Minute, strings.TrimSpace(head)+" "+numbers(200, 20))
				w.stop()
				w.start()
				w.expect(10*time.Second, "")
				w.stop()
			})
		})
	}
}

func TestRotatedNamesAreRecognised(t *testing.T) {
	for name, want := range map[string]bool{
		"audit.log": false, "audit.log.1": true, "audit.log.1.gz": true, "audit.log-20260304": true,
		"audit-2026-03-04T08-48-00.932.log": true, "audit-2026-03-04T08-48-00.932.log.gz": true,
		"audit-policy.yaml": false, "auditor.log": false, "other.log": false, "audit": false,
	} {
		if got := isRotated("audit.log", name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestARenamedFileIsReadToItsEndBesideTheNewOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "audit.log")
		appendTo(t, w.path("audit.log"), lines(0, 2))
		w.start()
		w.expect(time.Second, numbers(0, 2))
		writer, err := os.OpenFile(w.path("audit.log"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer writer.Close()
		w.rename("audit.log", "elsewhere") // not what a rotation calls it, so that only the open file leads there
		appendTo(t, w.path("audit.log"), lines(10, 2))
		w.expect(2*time.Second, numbers(10, 2))
		writer.WriteString(lines(2, 1) + `{"n":3`)
		w.expect(2*time.Second, numbers(2, 1))
		w.expect(rotateGrace+5*time.Second, `{"n":3`)
		if n := w.src.follow.open.Load(); n != 1 {
			t.Errorf("%d files open", n)
		}
		w.stop()
	})
}

func TestADeletedFileIsReadToItsEndAndLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "*.log")
		appendTo(t, w.path("a.log"), lines(0, 2))
		w.to.hold = func(*pipeline.Batch) bool { return true }
		w.start()
		w.expect(time.Second, numbers(0, 2))
		appendTo(t, w.path("a.log"), lines(2, 1))
		if err := os.Remove(w.path("a.log")); err != nil {
			t.Fatal(err)
		}
		w.expect(time.Second, numbers(2, 1))
		time.Sleep(time.Hour)
		if n := w.src.follow.open.Load(); n != 1 {
			t.Errorf("%d files open although batches are not settled", n)
		}
		for _, b := range w.to.held {
			b.Done(nil)
		}
		time.Sleep(2 * time.Second)
		if n := w.src.follow.open.Load(); n != 0 {
			t.Errorf("%d files open", n)
		}
		w.stop()
	})
}

func TestContentThatReplacedAnotherWhileWeWereDownIsReadInFull(t *testing.T) {
	head := "{\"head\":\"" + strings.Repeat("x", printLength) + "\"}\n"
	tests := []struct {
		name    string
		replace func(w *world)
	}{
		{"in the same file", func(w *world) { write(w.t, w.path("a"), []byte(head+lines(200, 20))) }},
		{"in another file", func(w *world) {
			write(w.t, w.path("b"), []byte(head+lines(200, 20)))
			if err := os.Remove(w.path("a")); err != nil {
				w.t.Fatal(err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, ".")
				write(t, w.path("a"), []byte(head+lines(100, 20)))
				w.start()
				w.expect(5*time.Second, strings.TrimSpace(head)+" "+numbers(100, 20))
				w.stop()
				tt.replace(w)
				w.start()
				w.expect(5*time.Second, strings.TrimSpace(head)+" "+numbers(200, 20))
				w.stop()
			})
		})
	}
}
