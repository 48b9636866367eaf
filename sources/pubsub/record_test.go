package pubsub

import (
	"context"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/pipeline"
)

func TestARecordSaysWhatTheMessageDoes(t *testing.T) {
	srv := newServer(t)
	before := time.Now().Add(-time.Second)
	id := srv.PublishOrdered(auditTopic, []byte(`{"a":1}`), map[string]string{"cluster": "blue", "other": "x"}, "k1")
	k := &sink{}
	src := newSource(t, srv, settings(t), Options{NeedMeta: []string{"key", "header.cluster", "header.absent"}})
	run(t, src, k.emit)
	eventually(t, 10*time.Second, "it is delivered", func() bool { return len(k.records()) == 1 })
	got := k.records()[0]
	if string(got.Body) != `{"a":1}` || got.Pos != id || got.Time.Before(before) || got.Time.After(time.Now().Add(time.Second)) {
		t.Errorf("body %s, position %s, time %s", got.Body, got.Pos, got.Time)
	}
	if s := k.batches[0].Stream; s != auditSub {
		t.Errorf("stream %s", s)
	}
	want := map[string]string{decode.MetaProject: "prod", "key": "k1", "header.cluster": "blue"}
	if d := cmp.Diff(want, got.Meta); d != "" {
		t.Errorf("metadata (-want +got):\n%s", d)
	}
}

func TestTheLibrarysVariableForAnEmulatorIsObeyed(t *testing.T) {
	srv := newServer(t)
	t.Setenv("PUBSUB_EMULATOR_HOST", srv.Addr)
	src := newSource(t, srv, settings(t), Options{})
	src.tuning.client = nil
	run(t, src, (&sink{}).emit)
	ids := publish(srv, auditTopic, 3)
	eventually(t, 10*time.Second, "messages are read", func() bool { return acked(srv, ids) })
}

func TestWithoutCredentialsRunSaysHowToGiveThem(t *testing.T) {
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent/credentials.json")
	src := newSource(t, newServer(t), settings(t), Options{})
	src.tuning.client = nil
	err := src.Run(t.Context(), (&sink{}).emit)
	if err == nil || !strings.Contains(err.Error(), "GOOGLE_APPLICATION_CREDENTIALS") {
		t.Errorf("Run: %v", err)
	}
}

// offers makes deliveries of messages with the given ids and bodies of the given size.
func offers(size int, ids ...string) []*delivery {
	list := make([]*delivery, len(ids))
	for i, id := range ids {
		list[i] = &delivery{msg: &pubsub.Message{ID: id, Data: make([]byte, size)}, settled: make(chan error, 1)}
	}
	return list
}

func TestBatchesKeepTheirLimitsAndNoPositionTwice(t *testing.T) {
	for name, tt := range map[string]struct {
		limits batchLimits
		size   int
		ids    []string
		want   []string
	}{
		"records":              {batchLimits{records: 2, bytes: 1000, delay: time.Hour}, 1, []string{"a", "b", "c", "d"}, []string{"a b", "c d"}},
		"bytes":                {batchLimits{records: 9, bytes: 25, delay: 50 * time.Millisecond}, 10, []string{"a", "b", "c"}, []string{"a b", "c"}},
		"one that is too long": {batchLimits{records: 9, bytes: 5, delay: 50 * time.Millisecond}, 10, []string{"a", "b"}, []string{"a", "b"}},
		"a message twice":      {batchLimits{records: 9, bytes: 1000, delay: 50 * time.Millisecond}, 1, []string{"a", "b", "a"}, []string{"a b", "a"}},
		"delay":                {batchLimits{records: 9, bytes: 1000, delay: time.Millisecond}, 1, []string{"a"}, []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			c := &collector{stream: "s", limits: tt.limits, offers: make(chan *delivery), meta: func(*pubsub.Message) map[string]string { return nil }}
			batches := make(chan *pipeline.Batch, len(tt.ids))
			go c.run(ctx, ctx, func(_ context.Context, b *pipeline.Batch) error {
				batches <- b
				return nil
			})
			go func() {
				for _, d := range offers(tt.size, tt.ids...) {
					c.offers <- d
				}
			}()
			for _, want := range tt.want {
				var got []string
				for _, r := range (<-batches).Records {
					got = append(got, r.Pos)
				}
				if g := strings.Join(got, " "); g != want {
					t.Errorf("a batch of %q, want %q", g, want)
				}
			}
		})
	}
}

func TestAMessageOfferedAtTheEndIsNotLeftWaiting(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	c := &collector{stream: "s", limits: batchLimits{records: 9, bytes: 1000, delay: time.Hour}, offers: make(chan *delivery), meta: func(*pubsub.Message) map[string]string { return nil }}
	go c.run(ctx, ctx, func(context.Context, *pipeline.Batch) error {
		t.Error("it was handed on after the end")
		return nil
	})
	d := offers(1, "a")[0]
	c.offers <- d
	stop()
	select {
	case err := <-d.settled:
		if err == nil {
			t.Error("it counts as handled")
		}
	case <-time.After(5 * time.Second):
		t.Error("nobody settles it")
	}
}
