//go:build integration

package integration

import (
	"bytes"
	"compress/gzip"
	"testing"
)

// storyFile is the recorded attack that README, compose file and tests use.
const storyFile = "../detections/testdata/story.ndjson.gz"

// gzipOf is text as a gzip member, which can follow another in one file.
func gzipOf(t *testing.T, text string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}
