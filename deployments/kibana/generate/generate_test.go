package main

import (
	"bytes"
	"os"
	"testing"
)

func TestTheCommittedFileIsWhatTheGeneratorWrites(t *testing.T) {
	want, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../foretop.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("foretop.ndjson is not what the generator writes: run go generate ./deployments/kibana")
	}
}

func TestIDsAreUUIDsThatDependOnTheirKeyOnly(t *testing.T) {
	if got, want := uuid("a"), uuid("a"); got != want || got == uuid("b") {
		t.Errorf("%s and %s", got, want)
	}
	if got := uuid("a"); len(got) != 36 || got[14] != '5' || !bytes.ContainsRune([]byte("89ab"), rune(got[19])) {
		t.Errorf("%s is no UUID of version 5", got)
	}
}
