package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"unicode"
	"unicode/utf8"

	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/pkg/report"
	"github.com/foretop/foretop/sources/file"
)

// ReadOptions are what commands that read files and judge nothing were asked for.
type ReadOptions struct {
	Paths   []string // as in ScanOptions
	Stdin   io.Reader
	Stdout  *os.File
	Stderr  *os.File
	Cluster string
}

// eachItem decodes all records of the paths, in order, and tells which paths could not be read. It ends early
// when fn returns an error.
func (o *ReadOptions) eachItem(ctx context.Context, fn func(where string, it *decode.Item) error) (unreadable []error, err error) {
	source, err := file.New(file.Config{Paths: o.Paths}, file.Options{Name: scanSource, Stdin: o.Stdin, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	decoder := decode.New(decode.Options{Cluster: event.Cluster{ID: o.Cluster, Name: o.Cluster}})
	var failed error
	err = source.Run(ctx, func(_ context.Context, b *pipeline.Batch) error {
		for i := range b.Records {
			where := b.Stream + ":" + b.Records[i].Pos
			decoder.Decode(b.Records[i].Body, b.Records[i].Meta, func(it *decode.Item) {
				if failed == nil {
					failed = fn(where, it)
				}
			})
			if failed != nil {
				return failed // the batch is not taken over, so nobody settles it
			}
		}
		b.Done(nil)
		return nil
	})
	if failed != nil {
		return source.Unreadable(), failed
	}
	return source.Unreadable(), err
}

// provenance is what is known of an event beside the event, as `foretop decode` prints it.
type provenance struct {
	Format        string   `json:"format"`
	Provider      string   `json:"provider,omitempty"`
	Cluster       string   `json:"cluster,omitempty"`
	ClusterID     string   `json:"cluster_id,omitempty"`
	Inferred      []string `json:"inferred,omitempty"`
	Missing       []string `json:"missing,omitempty"`
	Truncated     bool     `json:"truncated,omitempty"`
	BodiesRemoved bool     `json:"bodies_removed,omitempty"`
}

// Decode prints every event as one line of JSON on Stdout, and on Stderr what is no event, with the reason.
// It returns the exit code: junk does not change it, a path that cannot be read does.
func Decode(ctx context.Context, o ReadOptions) (int, error) {
	out := bufio.NewWriterSize(o.Stdout, 64<<10)
	complaints := report.NewPrinter(o.Stderr, report.PrinterOptions{})
	var line []byte
	unreadable, err := o.eachItem(ctx, func(where string, it *decode.Item) error {
		switch it.Kind {
		case decode.Skipped:
			complaints.Line("%s: skipped: %s", where, it.Class)
			return nil
		case decode.Broken:
			complaints.Line("%s: %s: %s", where, it.Class, it.Detail)
			return nil
		}
		var err error
		if line, err = appendEvent(line[:0], it); err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
		_, err = out.Write(line)
		return err
	})
	if err == nil {
		err = ctx.Err()
	}
	if flushed := out.Flush(); err == nil {
		err = flushed
	}
	for _, bad := range unreadable {
		complaints.Line("unreadable: %s", bad.Error())
	}
	switch {
	case err != nil:
		return ExitError, err
	case len(unreadable) > 0:
		return ExitUnreadable, nil
	}
	return ExitOK, nil
}

// appendEvent appends the event as one line, with its provenance as the last member.
func appendEvent(dst []byte, it *decode.Item) ([]byte, error) {
	env := &it.Envelope
	beside, err := json.Marshal(provenance{
		Format: env.Format, Provider: env.Provider, Cluster: env.Cluster.Name, ClusterID: env.Cluster.ID,
		Inferred: env.Inferred, Missing: env.Missing, Truncated: env.Truncated, BodiesRemoved: env.BodiesRemoved,
	})
	if err != nil {
		return dst, err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, it.Canonical); err != nil {
		return dst, err
	}
	object := bytes.TrimSuffix(compact.Bytes(), []byte("}"))
	dst = appendPrintable(dst, object)
	if len(object) > 1 {
		dst = append(dst, ',')
	}
	dst = append(dst, `"foretop.provenance":`...)
	return append(appendPrintable(dst, beside), "}\n"...), nil
}

// appendPrintable appends JSON with every character that could act on a terminal written as an escape; they
// stand in strings only.
func appendPrintable(dst, text []byte) []byte {
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r < utf8.RuneSelf && r != 0x7f, unicode.IsPrint(r):
			dst = append(dst, text[:size]...)
		case r < 0x10000:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		default:
			dst = fmt.Appendf(dst, `\u%04x\u%04x`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
		}
		text = text[size:]
	}
	return dst
}
