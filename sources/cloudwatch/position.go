package cloudwatch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/foretop/foretop/pkg/checkpoint"
)

// position is what is saved of a log group: everything that happened before Until was read a last time, and is
// settled.
type position struct {
	Version int       `json:"version"`
	Group   string    `json:"log_group"`
	Account string    `json:"account,omitempty"`
	Until   time.Time `json:"until"`
}

const positionVersion = 1

// key names the position. It rests on the configuration only, not on what a call returned, so that no failed call
// makes a group look new; and on the source's name, so that two sources never save for each other.
func (g *group) key() string {
	return checkpoint.Key("cloudwatch", g.src.name, g.t.account, g.t.route.region, g.t.name)
}

// errRefused is a saved position that cannot be meant.
var errRefused = errors.New("the saved position cannot be used")

// decodePosition reads what encode wrote. now is AWS' time in milliseconds.
func decodePosition(data []byte, group string, now int64) (position, error) {
	var p position
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err := d.Decode(&p)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is more behind it")
		}
	}
	switch {
	case err != nil:
		return p, fmt.Errorf("%w: it is not what this program writes: %w", errRefused, err)
	case p.Version != positionVersion:
		return p, fmt.Errorf("%w: its version is %d, and this program knows %d", errRefused, p.Version, positionVersion)
	case p.Group != group:
		return p, fmt.Errorf("%w: it belongs to log group %q", errRefused, p.Group)
	case p.Until.Before(time.UnixMilli(0)):
		return p, fmt.Errorf("%w: it lies at %s, before there were such logs", errRefused, p.Until.UTC().Format(time.RFC3339))
	case p.Until.UnixMilli() > now+time.Minute.Milliseconds():
		return p, fmt.Errorf("%w: it lies in the future, at %s", errRefused, p.Until.UTC().Format(time.RFC3339))
	}
	return p, nil
}

// restore reads the saved position. ok is false if there is none, or none that can be used: that one is kept under
// another key for who wants to know, and reported.
func (g *group) restore(ctx context.Context) (p position, ok bool, err error) {
	data, err := g.src.store.Get(ctx, g.key())
	if err != nil || data == nil {
		return p, false, err
	}
	p, err = decodePosition(data, g.t.name, g.src.clock.now())
	if err == nil {
		return p, true, nil
	}
	return p, false, g.refuse(ctx, data, err)
}

// refuse puts a position aside. It fails if that fails: what cannot be put aside must not be overwritten.
func (g *group) refuse(ctx context.Context, data []byte, why error) error {
	aside := checkpoint.Key("cloudwatch-refused", g.src.name, g.t.account, g.t.route.region, g.t.name)
	if err := g.src.store.Put(ctx, aside, data); err != nil {
		return err
	}
	if err := g.src.store.Delete(ctx, g.key()); err != nil {
		return err
	}
	g.src.metrics.refused.Inc()
	g.src.log.Error("a saved position is refused and put aside; reading begins as if for the first time, so events may be left out",
		"source", g.src.name, "log_group", g.t.name, "error", why, "start", g.src.cfg.Start, "kept_as", aside)
	return nil
}

// save writes the position if it has moved.
func (g *group) save(ctx context.Context) {
	g.saving.Lock()
	defer g.saving.Unlock()
	until := g.settled.Load()
	if until == g.saved || g.src.history != nil {
		return
	}
	data, err := json.Marshal(position{Version: positionVersion, Group: g.t.name, Account: g.account, Until: time.UnixMilli(until).UTC()})
	if err == nil {
		err = g.src.store.Put(ctx, g.key(), data)
	}
	if err != nil {
		g.src.metrics.saveFailed.Inc()
		g.src.health.Note("save", fmt.Errorf("positions cannot be saved: %w", err), false)
		g.src.throttle.Log(errorLevel, "save", "a position cannot be saved; nothing is lost, more is read again after a restart", "source", g.src.name, "log_group", g.t.name, "error", err)
		return
	}
	g.saved = until
	g.src.health.Clear("save")
}
