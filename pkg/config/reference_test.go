package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

func TestReferenceIsMadeFromTheTags(t *testing.T) {
	sections := []Section{
		{Title: "Service", Intro: "Settings of `foretop run`.", Variables: Describe(Prefix, &Core{})},
		{Title: "Adapter", Intro: "With type `x`.", Variables: Describe("FORETOP_X", &adapter{})},
	}
	for name, write := range map[string]func(*strings.Builder) error{
		"reference.txt": func(b *strings.Builder) error { return WriteText(b, sections) },
		"reference.md":  func(b *strings.Builder) error { return WriteMarkdown(b, sections) },
	} {
		var got strings.Builder
		if err := write(&got); err != nil {
			t.Fatal(err)
		}
		golden(t, name, got.String())
	}
}

func TestEffectiveShowsOriginsAndMasksSecrets(t *testing.T) {
	_, l, err := load("FORETOP_X_BROKERS=http://u:p@a:1,http://u:p@w@b:2", "FORETOP_X_PASSWORD_FILE="+writeFile(t, "pw"), "FORETOP_X_PIN=4", "FORETOP_X_PATH=a\x1b[31m\nb")
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	if err := WriteEffective(&got, l.Values()); err != nil {
		t.Fatal(err)
	}
	golden(t, "effective.txt", got.String())
}

func TestNoVariableLooksLikeTheFileOfAnother(t *testing.T) {
	for _, v := range Describe(Prefix, &Core{}) {
		if strings.HasSuffix(v.Name, fileSuffix) {
			t.Errorf("%s ends in %s", v.Name, fileSuffix)
		}
		if v.Meaning == "" {
			t.Errorf("%s has no meaning", v.Name)
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), -update writes it:\n%s", name, diff)
	}
}
