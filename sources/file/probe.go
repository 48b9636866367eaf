package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/pipeline"
)

const (
	// sampleBytes is how much is read of the end of a plain file, and of the beginning of any other.
	sampleBytes = 1 << 20
	// sampleFiles bounds the files that are opened to see whether they can be read.
	sampleFiles = 100
)

// Probe implements pipeline.Prober. It opens files, the newest first, and reads the end of a plain one and the
// beginning of a compressed one. Pipes and the standard input are left alone: what is read of them is gone.
func (s *Source) Probe(ctx context.Context, limit int, report func(pipeline.Check)) []pipeline.Record {
	var inputs []input
	for _, path := range s.cfg.Paths {
		inputs = append(inputs, s.probePath(path, report)...)
	}
	inputs = slices.DeleteFunc(inputs, func(in input) bool { return in.info == nil || !in.info.Mode().IsRegular() })
	slices.SortStableFunc(inputs, func(a, b input) int { return b.info.ModTime().Compare(a.info.ModTime()) })
	return s.sample(ctx, inputs, limit, report)
}

// probePath finds what one of the configured paths stands for.
func (s *Source) probePath(path string, report func(pipeline.Check)) []input {
	c := pipeline.Check{Name: "path " + path}
	defer func() { report(c) }()
	var problems []error
	inputs := expand([]string{path}, func(_ string, err error) { problems = append(problems, err) })
	switch {
	case path == Stdin:
		c.Name, c.Detail = "standard input", "is read when Foretop runs, and not before"
	case len(inputs) == 0 && s.cfg.Follow && (errors.Is(errors.Join(problems...), os.ErrNotExist) || errors.Is(errors.Join(problems...), errNoMatch)):
		c.State, c.Detail = pipeline.CheckWarning, "nothing is there yet; it is looked for again while Foretop runs"
		c.Fix = "see that the path is right, and mounted into the container"
	case len(inputs) == 0 && len(problems) == 0:
		c.State, c.Detail, c.Fix = pipeline.CheckWarning, "the directory holds no file", "see that the path is right, and mounted into the container"
	case len(problems) > 0:
		c.State, c.Detail = pipeline.CheckFailed, errors.Join(problems[:min(len(problems), 3)]...).Error()
		if c.Fix = "let the user that Foretop runs as read it"; errors.Is(problems[0], os.ErrNotExist) || errors.Is(problems[0], errNoMatch) {
			c.Fix = "correct PATHS, or mount the directory into the container"
		}
	default:
		c.Detail = describeInputs(inputs)
		for _, in := range inputs {
			if s.cfg.Follow && !in.info.Mode().IsRegular() {
				c.State, c.Detail, c.Fix = pipeline.CheckFailed, "not a regular file, so it cannot be followed", "read it without FOLLOW, or follow the file that feeds it"
			}
		}
	}
	return inputs
}

func describeInputs(inputs []input) string {
	if len(inputs) == 1 && !inputs[0].info.Mode().IsRegular() {
		return "a pipe or device; it is read when Foretop runs, and not before"
	}
	total := int64(0)
	for _, in := range inputs {
		total += in.size
	}
	files := "1 file"
	if len(inputs) > 1 {
		files = strconv.Itoa(len(inputs)) + " files"
	}
	return fmt.Sprintf("%s, %s", files, approximate(total))
}

func approximate(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d KiB", (n+1023)>>10)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

// sample reads records of the newest files and says which files cannot be read.
func (s *Source) sample(ctx context.Context, inputs []input, limit int, report func(pipeline.Check)) []pipeline.Record {
	var records []pipeline.Record
	failed := 0
	for i, in := range inputs {
		if i == sampleFiles || ctx.Err() != nil {
			break
		}
		found, err := s.sampleFile(ctx, in, limit-len(records))
		records = append(records, found...)
		if err != nil && ctx.Err() == nil {
			if failed++; failed <= 3 { // of many, the first few say what is wrong
				report(pipeline.Check{
					Name: "file " + in.path, State: pipeline.CheckFailed, Detail: cause(err).Error(),
					Fix: "let the user that Foretop runs as read it; leave out what is no log",
				})
			}
		}
	}
	if failed > 3 {
		report(pipeline.Check{Name: "files", State: pipeline.CheckFailed, Detail: fmt.Sprintf("%d more cannot be read", failed-3), Fix: "the same"})
	}
	return records
}

// sampleFile reads at most limit records of one file.
func (s *Source) sampleFile(ctx context.Context, in input, limit int) ([]pipeline.Record, error) {
	f, err := os.Open(in.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	whole, err := newContent(ctx, io.NewSectionReader(f, 0, in.size))
	if err != nil {
		return nil, err
	}
	defer whole.Close()
	if limit <= 0 || in.size == 0 {
		return nil, nil
	}
	if whole.compressed || in.size <= sampleBytes {
		return s.frames(io.LimitReader(whole, sampleBytes), in, 0, limit, whole)
	}
	start := in.size - sampleBytes
	tail := make([]byte, sampleBytes)
	n, err := f.ReadAt(tail, start)
	if ignoreEOF(err) != nil {
		return nil, err
	}
	tail = tail[:n]
	newline := bytes.IndexByte(tail, '\n') + 1 // of what stands before it the beginning is missing
	return s.frames(bytes.NewReader(tail[newline:]), in, start+int64(newline), limit, whole)
}

// frames cuts what r holds into records and returns the last of them; base is where r stands in the file. What
// the end of r has cut is left out.
func (s *Source) frames(r io.Reader, in input, base int64, limit int, whole *content) ([]pipeline.Record, error) {
	framer := decode.NewFramer(r, int(s.cfg.MaxRecord))
	var records []pipeline.Record
	keep := func(frame decode.Frame) {
		record := pipeline.Record{Body: frame.Bytes, Pos: strconv.FormatInt(base+frame.Offset, 10)}
		if frame.TooLarge {
			record.Meta = map[string]string{pipeline.MetaOversize: strconv.FormatInt(frame.Length, 10)}
		}
		if records = append(records, record); len(records) > limit {
			records = records[1:]
		}
	}
	for {
		frame, err := framer.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return records, err
		}
		keep(frame)
	}
	if in.size <= sampleBytes && !whole.compressed && !s.cfg.Follow {
		if frame, ok := framer.Flush(); ok { // the file ends here, not the sample
			keep(frame)
		}
	}
	return records, whole.err
}

var _ pipeline.Prober = (*Source)(nil)
