// Command consumer runs a Kafka source as the service would, for tests that kill it: it settles every batch after
// a while, and prints the bodies of the batch just before, one batch a line.
package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/foretop/foretop/pkg/config"
	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sources/kafka"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var cfg kafka.Config
	l := config.NewLoader(os.Environ())
	l.Fill("FORETOP_KAFKA", &cfg)
	if err := l.Finish(); err != nil {
		return err
	}
	delay, err := time.ParseDuration(os.Getenv("SETTLE_AFTER"))
	if err != nil {
		return err
	}
	src, err := kafka.New(cfg, kafka.Options{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	p := &printer{to: bufio.NewWriter(os.Stdout)}
	return src.Run(ctx, func(_ context.Context, b *pipeline.Batch) error {
		time.AfterFunc(delay, func() { b.Done(p.print(b)) })
		return nil
	})
}

// printer writes lines as a whole.
type printer struct {
	mu sync.Mutex
	to *bufio.Writer
}

func (p *printer) print(b *pipeline.Batch) error {
	var line bytes.Buffer
	for _, r := range b.Records {
		line.Write(r.Body)
		line.WriteByte(' ')
	}
	line.WriteByte('\n')
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.to.Write(line.Bytes()); err != nil {
		return err
	}
	return p.to.Flush()
}
