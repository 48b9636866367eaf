package app

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/foretop/foretop/pkg/finding"
	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sources/file"
)

// progressInterval is the time between two states of the progress line.
const progressInterval = 250 * time.Millisecond

// showProgress keeps one line on stderr up to date while work goes on, if stderr is a terminal. stop ends
// and removes it.
func showProgress(stderr *os.File, line func() string) (stop func()) {
	if !term.IsTerminal(int(stderr.Fd())) {
		return func() {}
	}
	done := make(chan struct{})
	var finished sync.WaitGroup
	finished.Go(func() {
		ticker := time.NewTicker(progressInterval)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				redraw(stderr, "")
				return
			case <-ticker.C:
				width, _, err := term.GetSize(int(stderr.Fd()))
				if err != nil || width < 1 {
					width = 80
				}
				redraw(stderr, cutLine(line(), width-1))
			}
		}
	})
	return func() {
		close(done)
		finished.Wait()
	}
}

// redraw replaces the line. A terminal that is gone is no reason to end a scan.
func redraw(stderr *os.File, text string) { _, _ = stderr.WriteString("\r\x1b[K" + text) }

// cutLine bounds a line of one-column characters.
func cutLine(text string, width int) string {
	runes := []rune(text)
	if len(runes) > width {
		return string(runes[:max(0, width)])
	}
	return text
}

// progressLine says how far a scan has come. Bytes of the source are as stored, so that they can be set in
// relation to the whole; judged are the bytes after decompression.
func progressLine(p file.Progress, judged, events, findings int64, elapsed time.Duration) string {
	seconds := max(elapsed.Seconds(), 0.001)
	text := fmt.Sprintf("%s MB/s  %s events  %d findings", number(int64(float64(judged)/1e6/seconds)), number(events), findings)
	if p.TotalBytes > 0 && p.Bytes <= p.TotalBytes {
		share := float64(p.Bytes) / float64(p.TotalBytes)
		text = fmt.Sprintf("%3.0f %%  %s", 100*share, text)
		if share > 0.02 {
			left := time.Duration(float64(elapsed) * (1 - share) / share)
			text += "  ETA " + left.Round(time.Second).String()
		}
	}
	if p.Files > 1 {
		text = fmt.Sprintf("%d of %d files  %s", p.FilesDone, p.Files, text)
	}
	return text + "  " + finding.Visible(p.Current)
}

// progressLine says how far reading the past has come: what was read, and how much time it covers yet.
func (s *pastSource) progressLine(n *pipeline.SourceStats, findings int64, elapsed time.Duration) string {
	seconds := max(elapsed.Seconds(), 0.001)
	text := fmt.Sprintf("%s records  %s events  %s events/s  %d findings",
		number(s.records.Load()), number(n.Items), number(int64(float64(n.Items)/seconds)), findings)
	if ms := s.at.Load(); ms != 0 {
		at := time.UnixMilli(ms).UTC()
		text += fmt.Sprintf("  at %s, %s to go", at.Format("01-02 15:04"), max(0, s.until.Sub(at)).Round(time.Minute))
	}
	if r, ok := s.Source.(pipeline.HealthReporter); ok {
		if err := r.Health(); err != nil {
			text += "  " + finding.Visible(err.Error())
		}
	}
	return text
}

// number is n with a space between groups of three digits.
func number(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + " " + text[i:]
	}
	return text
}
