package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/foretop/foretop/pkg/pipeline"
)

// ownerAnnotation names the process that may write, as POD/RANDOM.
const ownerAnnotation = "foretop/owner"

// attempts bounds how often one write meets somebody else's.
const attempts = 5

// object is the part of a ConfigMap that is read and created.
type object struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   metadata          `json:"metadata"`
	Data       map[string]string `json:"data,omitempty"`
}

type metadata struct {
	Name            string            `json:"name,omitempty"`
	ResourceVersion string            `json:"resourceVersion,omitempty"`
	Annotations     map[string]string `json:"annotations,omitempty"`
}

// patch is a merge patch (RFC 7396): null removes a key, and a resourceVersion that is not the object's is
// answered with 409.
type patch struct {
	Metadata metadata           `json:"metadata"`
	Data     map[string]*string `json:"data,omitempty"`
}

// work is the one goroutine that writes.
func (c *ConfigMap) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		}
		c.mu.Lock()
		idle := c.pending == nil
		c.mu.Unlock()
		if idle {
			continue
		}
		if c.pace.Wait(ctx) != nil {
			return
		}
		c.mu.Lock()
		w := c.pending
		c.pending, c.writing = nil, w
		claimed, lost := c.claimed, c.lost
		c.mu.Unlock()
		err := lost
		if err == nil && !claimed {
			err = c.takeOver(ctx)
		}
		if err == nil && len(w.values) > 0 {
			err = c.write(ctx, w)
		}
		if err != nil {
			err = fmt.Errorf("%w: %w", c.failed("positions cannot be kept"), err)
		}
		c.mu.Lock()
		if errors.Is(err, ErrTakenOver) && c.lost == nil {
			c.lost = err
		}
		c.writing = nil
		c.finish(w, err)
		c.mu.Unlock()
	}
}

// takeOver makes the ConfigMap ours, creates it if need be, and reads what it holds. For a while it waits for an
// API server that is away.
func (c *ConfigMap) takeOver(ctx context.Context) error {
	deadline, wait := time.Now().Add(c.retry), c.retryMin
	for {
		err := c.tryTakeOver(ctx)
		if err == nil || !passing(err) || time.Now().Add(wait).After(deadline) {
			return err
		}
		c.log.Warn("positions cannot be read yet", "configmap", c.namespace+"/"+c.name, "error", err)
		if !pipeline.Sleep(ctx, wait) {
			return errClosed
		}
		wait = min(2*wait, 10*time.Second)
	}
}

func (c *ConfigMap) tryTakeOver(ctx context.Context) error {
	var err error
	for range attempts {
		var found, ours object
		found, err = c.read(ctx)
		switch {
		case is(err, http.StatusNotFound):
			ours, err = c.create(ctx, nil)
		case err != nil:
			return err
		default:
			ours, err = c.patch(ctx, patch{Metadata: c.mark(found.Metadata.ResourceVersion)})
		}
		if err == nil {
			if before := found.Metadata.Annotations[ownerAnnotation]; before != "" {
				c.log.Info("positions taken over", "configmap", c.namespace+"/"+c.name, "from", before)
			}
			c.hold(ours)
			return nil
		}
		if !raced(err) {
			return err
		}
	}
	return err
}

// write makes a change durable. A foreign change of the object makes it look again who owns it.
func (c *ConfigMap) write(ctx context.Context, w *change) error {
	var err error
	values := w.values
	for range attempts {
		var got object
		if got, err = c.patch(ctx, patch{Metadata: c.mark(c.version), Data: values}); err == nil {
			c.hold(got)
			return nil
		}
		if !raced(err) {
			return err
		}
		got, err = c.read(ctx)
		switch {
		case is(err, http.StatusNotFound): // somebody deleted it: the positions are not gone
			if got, err = c.create(ctx, w.on(c.held())); err == nil {
				c.log.Warn("the ConfigMap of the positions was deleted; it was made again", "configmap", c.namespace+"/"+c.name)
				c.hold(got)
				return nil
			}
			if !raced(err) {
				return err
			}
			continue // the version is still that of the deleted one, so nothing of another's is overwritten
		case err != nil:
			return err
		}
		switch got.Metadata.Annotations[ownerAnnotation] {
		case c.owner: // a label, or a position edited by hand
		case "": // made anew or replaced, and nobody else has it: what it held is written again
			values = make(map[string]*string)
			for key, value := range c.held() {
				values[key] = &value
			}
			maps.Copy(values, w.values)
		default:
			return fmt.Errorf("%s: %w", got.Metadata.Annotations[ownerAnnotation], ErrTakenOver)
		}
		c.version = got.Metadata.ResourceVersion
	}
	return err
}

// raced says that the object is not the one that was read.
func raced(err error) bool { return is(err, http.StatusConflict) || is(err, http.StatusNotFound) }

func (c *ConfigMap) mark(version string) metadata {
	return metadata{ResourceVersion: version, Annotations: map[string]string{ownerAnnotation: c.owner}}
}

// hold notes what the ConfigMap holds now.
func (c *ConfigMap) hold(o object) {
	c.version = o.Metadata.ResourceVersion
	c.mu.Lock()
	defer c.mu.Unlock()
	c.values, c.claimed = o.Data, true
}

func (c *ConfigMap) held() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.values
}

func (c *ConfigMap) path() string {
	return "/api/v1/namespaces/" + c.namespace + "/configmaps"
}

func (c *ConfigMap) read(ctx context.Context) (o object, err error) {
	err = c.api.do(ctx, http.MethodGet, c.path()+"/"+c.name, "", nil, &o)
	return o, c.explain("get", err)
}

func (c *ConfigMap) create(ctx context.Context, values map[string]string) (o object, err error) {
	wanted := object{APIVersion: "v1", Kind: "ConfigMap", Metadata: c.mark(""), Data: values}
	wanted.Metadata.Name = c.name
	err = c.api.do(ctx, http.MethodPost, c.path()+"?fieldManager=foretop", "application/json", wanted, &o)
	return o, c.explain("create", err)
}

func (c *ConfigMap) patch(ctx context.Context, p patch) (o object, err error) {
	err = c.api.do(ctx, http.MethodPatch, c.path()+"/"+c.name+"?fieldManager=foretop", "application/merge-patch+json", p, &o)
	return o, c.explain("patch", err)
}

// explain says what to do about an answer that waiting does not cure.
func (c *ConfigMap) explain(verb string, err error) error {
	switch {
	case is(err, http.StatusUnauthorized):
		return fmt.Errorf("the API server does not accept the pod's token: does its service account still exist? (%w)", err)
	case is(err, http.StatusForbidden) && verb == "create":
		return fmt.Errorf("it does not exist, and may not be created: kubectl -n %s create configmap %s (%w)", c.namespace, c.name, err)
	case is(err, http.StatusForbidden):
		return fmt.Errorf("the service account may not %s it: grant it the verbs get and patch on configmaps with resourceNames [%s] in a Role of namespace %s (%w)", verb, c.name, c.namespace, err)
	}
	return err
}
