package file

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/offsets"
	"github.com/foretop/foretop/pkg/pipeline"
)

// Run implements pipeline.Source. Paths that cannot be read are no error: see Unreadable.
func (s *Source) Run(ctx context.Context, emit pipeline.Emit) error {
	// Batches in flight outlive ctx by the drain; after that nobody waits for them.
	streams, lose := context.WithCancel(context.WithoutCancel(ctx))
	defer lose()
	if s.cfg.Follow {
		return s.followAll(ctx, streams, emit)
	}
	return s.readAll(ctx, streams, emit)
}

// readAll reads every file once and waits until what was read is settled.
func (s *Source) readAll(ctx, streams context.Context, emit pipeline.Emit) error {
	inputs := expand(s.cfg.Paths, s.progress.fail)
	s.progress.total(inputs)
	// Positions of a finite source are not saved, so one tracker serves all files: it counts what is open.
	tracker := offsets.New(0)
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(s.cfg.Parallel)
	for _, in := range inputs {
		if groupCtx.Err() != nil {
			break
		}
		group.Go(func() error {
			defer s.progress.done()
			b := &batcher{
				ctx: groupCtx, streams: streams, emit: emit, tracker: tracker, stream: in.stream(), records: &s.progress.records,
			}
			return s.readFile(groupCtx, in, b)
		})
	}
	err := group.Wait()
	if waitErr := tracker.Wait(ctx); waitErr != nil {
		drain, cancel := context.WithTimeout(streams, s.cfg.DrainTimeout)
		defer cancel()
		// What is left after the drain is not lost: nothing of a finite source is saved.
		_ = tracker.Wait(drain)
	}
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil && !errors.Is(err, offsets.ErrPinned):
		return fmt.Errorf("reading stopped: %w", err)
	case tracker.Pinned():
		return errors.New("reading stopped: records were given back unhandled; read the paths again")
	}
	return nil
}

// readFile reads one file. It returns an error only if the pipeline takes no more.
func (s *Source) readFile(ctx context.Context, in input, b *batcher) error {
	s.progress.begin(in.path)
	var raw io.Reader
	if in.path == Stdin {
		raw = startPump(ctx, s.opt.Stdin, b.flush)
	} else {
		f, waits, err := openRaw(ctx, in)
		if err != nil {
			s.progress.fail(in.path, cause(err))
			return ctx.Err()
		}
		defer f.Close()
		raw = f
		if waits {
			defer context.AfterFunc(ctx, func() { f.Close() })()
			raw = startPump(ctx, f, b.flush)
		}
	}
	c, err := newContent(ctx, counting{raw, &s.progress.bytes})
	if err != nil {
		if ctx.Err() == nil {
			s.progress.fail(in.path, cause(err))
		}
		return ctx.Err()
	}
	defer c.Close()
	if err := readFrames(decode.NewFramer(c, int(s.cfg.MaxRecord)), b); err != nil {
		return err
	}
	if c.err != nil {
		s.progress.fail(in.path, cause(c.err))
	}
	return nil
}

// readFrames hands all records of a stream to b, an unfinished last one too.
func readFrames(framer *decode.Framer, b *batcher) error {
	for {
		frame, err := framer.Next()
		switch {
		case errors.Is(err, io.EOF):
			if frame, ok := framer.Flush(); ok {
				if err := b.add(frame); err != nil {
					return err
				}
			}
			return b.flush()
		case err != nil:
			return err
		}
		if err := b.add(frame); err != nil {
			return err
		}
	}
}
