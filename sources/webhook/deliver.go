package webhook

import (
	"context"
	"crypto/sha256"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/pipeline"
)

// post is a body on its way through the pipeline. settled is closed when it has a fate; err is the fate.
type post struct {
	settled chan struct{}
	err     error
}

// posts are the bodies in the pipeline, by what they are: a repetition of one is the same body.
type posts struct {
	mu   sync.Mutex
	open map[[sha256.Size]byte]*post
	none chan struct{} // closed when open has become empty, if somebody waits for that
}

// join returns the post of key, and whether the caller has made it.
func (p *posts) join(key [sha256.Size]byte) (_ *post, made bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if one := p.open[key]; one != nil {
		return one, false
	}
	if p.open == nil {
		p.open = make(map[[sha256.Size]byte]*post)
	}
	one := &post{settled: make(chan struct{})}
	p.open[key] = one
	return one, true
}

func (p *posts) settle(key [sha256.Size]byte, one *post, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one.err = err
	close(one.settled)
	delete(p.open, key)
	if len(p.open) == 0 && p.none != nil {
		close(p.none)
		p.none = nil
	}
}

// wait blocks until nothing is in the pipeline, or ctx ends.
func (p *posts) wait(ctx context.Context) error {
	p.mu.Lock()
	if len(p.open) == 0 {
		p.mu.Unlock()
		return nil
	}
	if p.none == nil {
		p.none = make(chan struct{})
	}
	none := p.none
	p.mu.Unlock()
	select {
	case <-none:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// deliver hands a body to the pipeline and waits for its fate. It takes over the reservation of the body.
func (r *run) deliver(ctx context.Context, from cluster, body []byte, received time.Time) *refusal {
	key := keyOf(from, body)
	one, made := r.posts.join(key)
	size := int64(len(body))
	if !made {
		r.release(size)
		r.metrics.joined.Inc()
		return r.await(ctx, one)
	}
	record := pipeline.Record{Body: body, Time: received, Pos: r.boot + "-" + strconv.FormatInt(r.count.Add(1), 10), Meta: from.meta()}
	settle := func(err error) {
		r.release(size)
		r.posts.settle(key, one, err)
	}
	batch := pipeline.NewBatch(r.streams, r.stream(from), []pipeline.Record{record}, settle)
	// Neither the sender's impatience nor the end of the service may leave a request that is not taken over.
	entry, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.ctx, cancel)()
	if err := r.emit(entry, batch); err != nil {
		settle(err)
		return busy
	}
	return r.await(ctx, one)
}

// busy is the answer to what was not settled in time.
var busy = &refusal{code: http.StatusServiceUnavailable, text: "not settled in time", again: true}

func (r *run) await(ctx context.Context, one *post) *refusal {
	select {
	case <-one.settled:
		if one.err != nil {
			return busy
		}
		return nil
	case <-ctx.Done():
	case <-r.over.Done():
	}
	return busy
}

func keyOf(from cluster, body []byte) (key [sha256.Size]byte) {
	sum := sha256.New()
	sum.Write([]byte(strconv.Quote(from.name) + strconv.Quote(from.id)))
	sum.Write(body)
	sum.Sum(key[:0])
	return key
}

// stream names the stream of a cluster.
func (s *Source) stream(from cluster) string {
	switch {
	case from.name != "":
		return from.name
	case s.opt.Cluster != "":
		return s.opt.Cluster
	}
	return s.opt.Name
}

func (c cluster) meta() map[string]string {
	if c == (cluster{}) {
		return nil
	}
	return map[string]string{decode.MetaClusterName: c.name, decode.MetaClusterID: c.id}
}
