package checkpoint

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// ErrTakenOver is what a ConfigMap store returns for ever once another process has opened the same ConfigMap.
var ErrTakenOver = errors.New("another process has taken these positions over, and this one saves none any more: " +
	"run one replica, with the strategy Recreate")

const (
	// MaxConfigMap bounds all keys and values of a ConfigMap store together.
	// https://kubernetes.io/docs/concepts/configuration/configmap/#motivation
	MaxConfigMap = 1 << 20
	// writesPerSecond and writesAtOnce spare the API server and its etcd: what is put in between waits and is
	// written together. Some may go at once, so that a shutdown is not slowed down.
	writesPerSecond, writesAtOnce = 1, 10
)

// ConfigMapOptions are what OpenConfigMap needs.
type ConfigMapOptions struct {
	Cluster Cluster
	// Name of the ConfigMap. Namespace may be empty: then it is the pod's.
	Name, Namespace string
	// Logger may be nil.
	Logger *slog.Logger
}

// ConfigMap is a Store in a ConfigMap of the cluster that the process runs in, for pods that have no volume. It
// needs the rights get and patch on that ConfigMap, and create if it does not exist.
//
// One process at a time owns the ConfigMap: the one that came last. It writes its name into an annotation at the
// first use, and every write says which version of the object it changes. So a process that was followed by
// another one gets ErrTakenOver from then on and can overwrite nothing.
type ConfigMap struct {
	api              *apiServer
	namespace, name  string
	owner            string
	log              *slog.Logger
	pace             *rate.Limiter
	wake             chan struct{}
	stop             context.CancelFunc
	writer           sync.WaitGroup
	retryMin, retry  time.Duration // between attempts to take over, and for how long
	version          string        // resourceVersion as last seen; of the writer only
	mu               sync.Mutex
	claimed, closed  bool
	lost             error
	values           map[string]string // what the ConfigMap holds
	pending, writing *change
}

var _ Store = (*ConfigMap)(nil)

// change is a set of writes that become durable together. A nil value removes its key.
type change struct {
	values map[string]*string
	done   chan struct{}
	err    error // valid once done is closed
}

// ParseConfigMap reads NAME or NAMESPACE/NAME; without a namespace it is empty.
func ParseConfigMap(text string) (namespace, name string, err error) {
	namespace, name, found := strings.Cut(text, "/")
	if !found {
		namespace, name = "", text
	}
	if !subdomain.MatchString(name) || len(name) > 253 || found && (!label.MatchString(namespace) || len(namespace) > 63) {
		return "", "", fmt.Errorf("%q names no ConfigMap: write NAME or NAMESPACE/NAME", text)
	}
	return namespace, name, nil
}

// https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
var (
	label     = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	subdomain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
)

// OpenConfigMap makes the store. It connects, and takes the ConfigMap over, when it is first used: whoever only
// looks does not disturb the process that works.
func OpenConfigMap(o ConfigMapOptions) (*ConfigMap, error) {
	if o.Namespace == "" {
		data, err := os.ReadFile(o.Cluster.NamespaceFile)
		if err != nil {
			return nil, fmt.Errorf("checkpoint: namespace of ConfigMap %s: %w: name it as NAMESPACE/NAME, or set automountServiceAccountToken: true in the pod", o.Name, err)
		}
		o.Namespace = strings.TrimSpace(string(data))
	}
	host, err := os.Hostname() // in a pod, its name
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	c := &ConfigMap{
		api: &apiServer{Cluster: o.Cluster}, namespace: o.Namespace, name: o.Name,
		owner: host + "/" + rand.Text()[:12], log: cmp.Or(o.Logger, slog.Default()),
		pace: rate.NewLimiter(writesPerSecond, writesAtOnce), wake: make(chan struct{}, 1), stop: stop,
		retryMin: time.Second, retry: time.Minute,
	}
	c.writer.Go(func() { c.work(ctx) })
	return c, nil
}

// Get implements Store.
func (c *ConfigMap) Get(ctx context.Context, key string) ([]byte, error) {
	if err := check(key, nil); err != nil {
		return nil, err
	}
	if err := c.claim(ctx); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	value, ok := c.values[key]
	if err := c.usable(); err != nil || !ok {
		return nil, err
	}
	return []byte(value), nil
}

// Put implements Store. Changes that come while another one is being written are written together, at most one
// write a second in the long run. If ctx ends first, the change may still be made.
func (c *ConfigMap) Put(ctx context.Context, key string, value []byte) error {
	if err := check(key, value); err != nil {
		return err
	}
	text := string(value)
	return c.commit(ctx, key, &text)
}

// Delete implements Store.
func (c *ConfigMap) Delete(ctx context.Context, key string) error {
	if err := check(key, nil); err != nil {
		return err
	}
	return c.commit(ctx, key, nil)
}

// Keys implements Store.
func (c *ConfigMap) Keys(ctx context.Context, prefix string) ([]string, error) {
	if err := c.claim(ctx); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return keysWith(c.values, prefix), c.usable()
}

// Close implements Store. Writes that are still waiting fail.
func (c *ConfigMap) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.stop()
	c.writer.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending != nil {
		c.finish(c.pending, errClosed)
		c.pending = nil
	}
	c.api.closeIdle()
	return nil
}

// usable says why nothing can be done, if so; the caller holds mu.
func (c *ConfigMap) usable() error {
	if c.closed {
		return errClosed
	}
	return c.lost
}

// claim makes sure that the ConfigMap is ours and its values are known.
func (c *ConfigMap) claim(ctx context.Context) error {
	c.mu.Lock()
	if err := c.usable(); err != nil || c.claimed {
		c.mu.Unlock()
		return err
	}
	w := c.enqueue()
	c.mu.Unlock()
	return c.wait(ctx, w)
}

// commit makes one change and waits until it is durable.
func (c *ConfigMap) commit(ctx context.Context, key string, value *string) error {
	if err := c.claim(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	w, err := c.add(key, value)
	c.mu.Unlock()
	if err != nil || w == nil {
		return err
	}
	return c.wait(ctx, w)
}

// add puts a change in the queue, and returns nil if nothing is to be changed; the caller holds mu.
func (c *ConfigMap) add(key string, value *string) (*change, error) {
	if err := c.usable(); err != nil {
		return nil, err
	}
	now := c.planned()
	old, there := now[key]
	if value != nil {
		size := len(key) + len(*value)
		for k, v := range now {
			if k != key {
				size += len(k) + len(v)
			}
		}
		if grows := !there || len(*value) > len(old); grows && size > MaxConfigMap {
			return nil, fmt.Errorf("%w: keys and values would be %d bytes, and a ConfigMap holds %d: spread the sources over several services", c.failed("key "+key+" was not saved"), size, MaxConfigMap)
		}
	}
	if c.pending == nil && c.writing == nil && there == (value != nil) && (!there || old == *value) {
		return nil, nil
	}
	w := c.enqueue()
	w.values[key] = value
	return w, nil
}

// planned is what the ConfigMap holds once all waiting changes are made; the caller holds mu and only reads it.
func (c *ConfigMap) planned() map[string]string {
	values := c.values
	for _, w := range []*change{c.writing, c.pending} {
		if w != nil && len(w.values) > 0 {
			values = w.on(values)
		}
	}
	return values
}

// on is a copy of values with the change made.
func (w *change) on(values map[string]string) map[string]string {
	values = maps.Clone(values)
	if values == nil {
		values = make(map[string]string)
	}
	for key, value := range w.values {
		if value == nil {
			delete(values, key)
		} else {
			values[key] = *value
		}
	}
	return values
}

// enqueue returns the change that the writer takes next, and wakes it; the caller holds mu.
func (c *ConfigMap) enqueue() *change {
	if c.pending == nil {
		c.pending = &change{values: make(map[string]*string), done: make(chan struct{})}
	}
	select {
	case c.wake <- struct{}{}:
	default: // it is awake already and looks again before it sleeps
	}
	return c.pending
}

func (c *ConfigMap) wait(ctx context.Context, w *change) error {
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", c.failed("not done in time"), ctx.Err())
	}
}

// failed begins an error.
func (c *ConfigMap) failed(what string) error {
	return fmt.Errorf("checkpoint: ConfigMap %s/%s: %s", c.namespace, c.name, what)
}

func (c *ConfigMap) finish(w *change, err error) {
	w.err = err
	close(w.done)
}
