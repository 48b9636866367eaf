package app

import (
	"bytes"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"

	"github.com/foretop/foretop/detections"
	"github.com/foretop/foretop/pkg/config"
	"github.com/foretop/foretop/pkg/telemetry"
)

// Demo prints the recorded attack story, one event a line.
func Demo(out io.Writer) error {
	story, err := gzip.NewReader(bytes.NewReader(detections.Story))
	if err != nil {
		return fmt.Errorf("the story in this program is damaged: %w", err)
	}
	_, err = io.Copy(out, story)
	return err
}

// Version prints what the program was built from.
func Version(out io.Writer) error {
	b := telemetry.ReadBuild()
	text := "foretop " + b.Version
	if b.Revision != "" {
		text += " (" + b.Revision
		if b.Modified {
			text += ", with changes"
		}
		text += ")"
	}
	_, err := fmt.Fprintln(out, text, b.Go)
	return err
}

// Levels are the names of levels, for the help of flags.
func Levels() []string { return config.Levels }
